/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How leases begin, are renewed and end. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery-fixture.h"

#define LEASE LEASE_DEFAULT_USEC

static Lease *lease_of(const Receiver *r)
{
        return lease_index_find_name(&d->leases.index, r->name);
}

static void set_lease(uint64_t usec)
{
        discovery_reload(d, &(DiscoveryConfig){.lease_usec = usec});
}

static void test_expiry(void **state)
{
        Receiver kept = join("kept", NULL), silent = join("silent", "g");

        world_advance(LEASE / 2);
        assert_int_equal(heartbeat(&kept), 200);
        world_advance(LEASE / 2 - 1);
        assert_non_null(lease_of(&silent));
        world_advance(1);
        assert_null(lease_of(&silent));
        assert_null(group_find(&d->groups, "g"));
        assert_int_equal(heartbeat(&silent), 404);
        get("/v1/receivers");
        assert_string_equal(names(), "kept");
        world_advance(LEASE / 2 - 1);
        assert_non_null(lease_of(&kept));
        world_advance(1);
        assert_null(lease_of(&kept));
        assert_false(timer_is_armed(&d->leases.expiry_timer));
        /* The name is free again. */
        (void) join("kept", NULL);
}

/* A heartbeat moves nothing: the heap is looked at when the lease may have ended. */
static void test_renewal_is_cheap(void **state)
{
        Receiver a = join("a", NULL);
        uint64_t due = lease_of(&a)->expiry.due;

        world_advance(10 * USEC_PER_SEC);
        assert_int_equal(heartbeat(&a), 200);
        assert_int_equal(lease_of(&a)->expiry.due, due);
        assert_int_equal(leases_due(&d->leases, lease_of(&a)), due + 10 * USEC_PER_SEC);
        world_advance(20 * USEC_PER_SEC);
        assert_int_equal(lease_of(&a)->expiry.due, due + 10 * USEC_PER_SEC);
}

static void test_shorter_and_longer_lease(void **state)
{
        Receiver a = join("a", NULL), b = join("b", NULL);

        set_lease(5 * USEC_PER_SEC);
        assert_int_equal(heartbeat(&a), 200);
        world_advance(5 * USEC_PER_SEC);
        assert_null(lease_of(&a));
        assert_non_null(lease_of(&b)); /* what was granted stays granted */
        set_lease(100 * USEC_PER_SEC);
        assert_int_equal(heartbeat(&b), 200);
        world_advance(99 * USEC_PER_SEC);
        assert_non_null(lease_of(&b));
        world_advance(USEC_PER_SEC);
        assert_null(lease_of(&b));
}

static void test_held_up(void **state)
{
        Receiver a = join("a", NULL), b = join("b", NULL);

        world_sleep(LEASE + 2 * USEC_PER_SEC);
        world_settle();
        assert_non_null(lease_of(&a));
        assert_int_equal(ask_of("GET", &a, "", NULL, NULL), 200);
        assert_true(number("expires_in_ms") == 30000);
        world_advance(LEASE - 1);
        assert_int_equal(heartbeat(&b), 200);
        world_advance(1);
        assert_null(lease_of(&a));
        assert_non_null(lease_of(&b));
        /* Only late by less than a second: nobody is excused. */
        world_sleep(LEASE + USEC_PER_SEC / 2);
        world_settle();
        assert_null(lease_of(&b));
}

/* Thousands that end at once do not keep requests waiting: they end in several steps. */
static void test_many_end_at_once(void **state)
{
        enum { N = 10000 };
        ReceiverInfo info = {.group = (char *) "g",
                        .addresses = &(Address){.kind = ADDRESS_UNIX},
                        .n_addresses = 1};
        char name[32];
        Lease *l;

        for (unsigned i = 0; i < N; i++) {
                (void) snprintf(name, sizeof name, "r%u", i);
                info.name = name;
                memcpy(info.id.bytes, &(uint64_t){i + 1}, 8);
                assert_int_equal(leases_put(&d->leases, &info, (sd_id128_t){}, &l), 0);
        }
        assert_int_equal(d->groups.all.n_leases, N);
        assert_int_equal(group_find(&d->groups, "g")->n_leases, N);
        world_advance(LEASE);
        assert_int_equal(d->groups.all.n_leases, 0);
        assert_null(group_find(&d->groups, "g"));
}

static void test_move(void **state)
{
        Receiver a = join_with("a", 1, ",\"group\":\"g\",\"labels\":{\"k\":\"v\"}");
        const Lease *old = lease_of(&a);
        uint64_t row = old->row;

        assert_int_equal(again(&a, a.token, 1, ",\"group\":\"h\",\"labels\":{\"k\":\"v\"}"), 200);
        assert_null(group_find(&d->groups, "g"));
        assert_int_equal(group_find(&d->groups, "h")->n_leases, 1);
        assert_int_equal(lease_of(&a)->row, row);
        const Tombstone *t = tombstones_get(&d->leases.tombstones, 0);
        assert_true(t->moved);
        assert_int_equal(t->revision, d->groups.revision);
        assert_null(tombstones_get(&d->leases.tombstones, 1));
}

/* Labels are stored once for all that have them, and are gone with the last. */
static void test_shared_labels(void **state)
{
        Receiver a = join_with("a", 1, ",\"labels\":{\"k\":\"v\"}");
        Receiver b = join_with("b", 1, ",\"labels\":{\"k\":\"v\"}");

        assert_ptr_equal(lease_of(&a)->labels, lease_of(&b)->labels);
        assert_int_equal(lease_of(&a)->labels->users, 2);
        leave(&a);
        assert_int_equal(lease_of(&b)->labels->users, 1);
        leave(&b);
        assert_int_equal(d->leases.labels.index.n_items, 0);
}

static void test_limit(void **state)
{
        Receiver a = join("a", NULL);
        size_t n = d->groups.all.n_leases;

        d->groups.all.n_leases = LEASES_MAX;
        assert_int_equal(again(&a, a.token, 1, ",\"capacity\":9"), 200);
        assert_int_equal(ask("POST", "/v1/receivers", NULL,
                                         "{\"name\":\"x\",\"instance\":\"00000000-0000-4000-8000-"
                                         "000000000001\","
                                         "\"addresses\":[\"unix:/x\"]}"),
                        503);
        assert_string_equal(code(), "limit");
        assert_int_equal(ask("POST", "/register", NULL, "{\"host\":\"h\",\"port\":1}"), 503);
        assert_string_equal(code(), "limit");
        d->groups.all.n_leases = n;
}

static void test_heard(void **state)
{
        Receiver a = join("a", NULL);

        assert_int_equal(leases_heard(&d->leases, lease_of(&a)), now_usec(CLOCK_BOOTTIME));
        world_advance(USEC_PER_SEC);
        restart();
        assert_int_equal(leases_heard(&d->leases, lease_of(&a)), 0);
        assert_int_equal(again(&a, a.token, 2, ""), 409);
        assert_null(error_of("heard_ms_ago"));
        assert_int_equal(again(&a, "x", 2, ""), 403);
        assert_null(error_of("heard_ms_ago"));
        assert_int_equal(heartbeat(&a), 200);
        assert_int_equal(again(&a, "x", 2, ""), 403);
        assert_int_equal(error_of("heard_ms_ago")->valueint, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        T(test_expiry),
                        T(test_renewal_is_cheap),
                        T(test_shorter_and_longer_lease),
                        T(test_held_up),
                        T(test_many_end_at_once),
                        T(test_move),
                        T(test_shared_labels),
                        T(test_limit),
                        T(test_heard),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
