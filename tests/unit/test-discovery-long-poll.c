/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests that wait until a list changes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery-fixture.h"

/* Waits for changes of "/v1/receivers?QUERY", from now on. */
static const TestExchange *wait_for(bool local, const char *query)
{
        char target[512];

        (void) snprintf(target, sizeof target, "/v1/receivers?%s", query);
        const char *known = revision_of(target);
        (void) snprintf(target, sizeof target, "/v1/receivers?%s&wait=30&since=%s", query, known);
        return poll_list(local, target);
}

static void test_change(void **state)
{
        const TestExchange *all = wait_for(true, ""), *g = wait_for(true, "group=g"),
                           *h = wait_for(false, "group=h");

        world_advance(10 * USEC_PER_SEC);
        assert_int_equal(all->status, 0);
        (void) join("a", "g");
        assert_int_equal(all->status, 0); /* not from inside the request that makes the change */
        world_advance(USEC_PER_MSEC);
        assert_int_equal(finish(all), 200);
        assert_string_equal(names(), "a");
        assert_int_equal(finish(g), 200);
        assert_int_equal(h->status, 0);
        world_advance(20 * USEC_PER_SEC - 2 * USEC_PER_MSEC);
        assert_int_equal(h->status, 0);
        world_advance(USEC_PER_MSEC);
        assert_int_equal(finish(h), 200);
        assert_string_equal(names(), "");
        assert_null(group_find(&d->groups, "h"));
}

static void test_changes_only(void **state)
{
        char target[512];

        (void) join("a", NULL);
        (void) snprintf(target, sizeof target, "/v1/receivers?wait=30&changes=%s",
                        revision_of("/v1/receivers"));
        const TestExchange *x = poll_list(true, target);
        (void) join("b", NULL);
        (void) join("c", NULL);
        world_advance(USEC_PER_MSEC);
        assert_int_equal(finish(x), 200); /* one answer for both */
        assert_string_equal(names(), "c b -0");
}

static void test_no_reason_to_wait(void **state)
{
        char target[256];

        assert_int_equal(get("/v1/receivers?wait=30"), 200);
        assert_int_equal(get("/v1/receivers?wait=30&since=x"), 200);
        (void) snprintf(target, sizeof target, "/v1/receivers?wait=0&since=%s",
                        revision_of("/v1/receivers"));
        assert_int_equal(get(target), 200);
}

static void test_names_of_groups(void **state)
{
        char name[300], target[512];

        memset(name, 'a', sizeof name);
        name[sizeof name - 1] = '\0';
        (void) snprintf(target, sizeof target, "/v1/receivers?group=%s&wait=30&since=%s", name,
                        revision_of("/v1/receivers"));
        assert_int_equal(get(target), 400);
        assert_string_equal(wrong_field(), "group");
        (void) snprintf(target, sizeof target, "/v1/receivers?group=&wait=30&since=%s",
                        revision_of("/v1/receivers?group="));
        assert_int_equal(get(target), 400);
}

/* Those over TCP cannot use up what is there for those over Unix sockets. */
static void test_limits(void **state)
{
        static const TestExchange *waiting[2][LONG_POLLS_MAX];

        for (int local = 0; local < 2; local++)
                for (unsigned i = 0; i < LONG_POLLS_MAX; i++) {
                        waiting[local][i] = wait_for(local, "group=g");
                        assert_int_equal(waiting[local][i]->status, 0);
                }
        for (int local = 0; local < 2; local++) {
                assert_int_equal(finish(wait_for(local, "group=new")), 503);
                assert_string_equal(code(), "limit");
        }
        assert_null(group_find(&d->groups, "new"));
        assert_int_equal(get("/v1/receivers"), 200);

        /* The answers take their time, so that other requests have theirs. */
        (void) join("a", "g");
        world_advance(2 * LONG_POLLS_MAX * 50 - 1);
        assert_int_equal(waiting[1][0]->status, 0);
        (void) join("b", "g");
        world_advance(1);
        for (int local = 0; local < 2; local++)
                for (unsigned i = 0; i < LONG_POLLS_MAX; i++)
                        assert_int_equal(finish(waiting[local][i]), 200);
        assert_string_equal(names(), "a b");
        const TestExchange *next = wait_for(true, "");
        assert_int_equal(next->status, 0);
        (void) join("c", NULL);
        world_advance(USEC_PER_MSEC);
        assert_int_equal(finish(next), 200);
}

/* Its deadline comes before the time at which the change would be told. */
static void test_deadline_and_change(void **state)
{
        const TestExchange *x = wait_for(true, "");

        world_advance(30 * USEC_PER_SEC - 10);
        (void) join("a", NULL);
        world_advance(10);
        assert_int_equal(finish(x), 200);
        assert_string_equal(names(), "a");
}

/* One that begins to wait after a change waits for the next one. */
static void test_between_changes(void **state)
{
        const TestExchange *first = wait_for(true, "");
        Receiver a = join("a", NULL);
        const TestExchange *second = wait_for(true, "");

        leave(&a);
        world_advance(USEC_PER_MSEC);
        assert_int_equal(finish(first), 200);
        assert_int_equal(finish(second), 200);
        assert_string_equal(names(), "");
}

static void test_stop(void **state)
{
        const TestExchange *x = wait_for(true, ""), *y = wait_for(false, "group=g");

        (void) join("a", "g");
        stop();
        assert_int_equal(finish(x), 200);
        assert_string_equal(names(), "a");
        assert_int_equal(finish(y), 200);
        start();

        /* The servers still read requests when nothing can wait any more. */
        long_polls_clear(&d->long_polls);
        assert_int_equal(finish(wait_for(true, "group=g")), 200);
        assert_int_equal(d->long_polls.n[1], 0);
}

/* Its cursor was valid when it began to wait. */
static void test_cursor_gone(void **state)
{
        char target[512];

        Receiver a = join("a", NULL);
        (void) join("b", NULL);
        const char *known = revision_of("/v1/receivers?limit=1");
        (void) snprintf(target, sizeof target, "/v1/receivers?wait=30&since=%s&after=%s", known,
                        field("next"));
        const TestExchange *x = poll_list(true, target);
        assert_int_equal(x->status, 0);
        leave(&a);
        world_advance(USEC_PER_MSEC);
        assert_int_equal(finish(x), 410);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        T(test_change),
                        T(test_changes_only),
                        T(test_no_reason_to_wait),
                        T(test_names_of_groups),
                        T(test_limits),
                        T(test_deadline_and_change),
                        T(test_between_changes),
                        T(test_stop),
                        T(test_cursor_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
