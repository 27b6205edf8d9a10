/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists, pages, changes, and the lists that are kept. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <zlib.h>

#include "discovery-fixture.h"

static const TestExchange *begin_as(const char *target, const char *header, const char *value)
{
        const TestExchange *x = world_http_with(LOCAL, "GET", target, NULL, NULL, header, value);

        assert_non_null(x);
        world_settle();
        return x;
}

static unsigned get_encoded(const char *target, const char *encoding)
{
        return finish(begin_as(target, "Accept-Encoding", encoding));
}

/* `known`: entity tags. */
static unsigned get_unless(const char *target, const char *known)
{
        return finish(begin_as(target, "If-None-Match", known));
}

static const char *list(const char *target)
{
        assert_int_equal(get(target), 200);
        return names();
}

/* What has changed in "/v1/receivers?QUERY" since that revision. */
static const char *changes(const char *query, const char *since)
{
        char target[512];

        (void) snprintf(target, sizeof target, "/v1/receivers?%s&changes=%s", query, since);
        return list(target);
}

static void join_many(unsigned n)
{
        char name[32];

        for (unsigned i = 0; i < n; i++) {
                (void) snprintf(name, sizeof name, "r%03u", i);
                (void) join(name, NULL);
        }
}

static void test_conditions(void **state)
{
        assert_string_equal(list("/v1/receivers"), "");
        join_with("c", 1, ",\"group\":\"g\",\"labels\":{\"zone\":\"x\",\"rack\":\"1\"}");
        join_with("b", 1, ",\"group\":\"g\",\"labels\":{\"zone\":\"y\"}");
        join_with("a", 1, ",\"labels\":{\"zone\":\"x\"}");

        assert_string_equal(list("/v1/receivers"), "a b c");
        assert_string_equal(list("/v1/receivers?group=g"), "b c");
        assert_string_equal(list("/v1/receivers?group=default"), "a");
        assert_string_equal(list("/v1/receivers?group=none"), "");
        assert_string_equal(list("/v1/receivers?label=zone=x"), "a c");
        assert_string_equal(list("/v1/receivers?label=zone=x&label=rack=1"), "c");
        assert_string_equal(list("/v1/receivers?label=zone=x&group=g"), "c");
        assert_string_equal(list("/v1/receivers?label=zone=z"), "");
}

static void test_bad_queries(void **state)
{
        static const struct {
                const char *query, *field;
        } bad[] = {
                        {"label=x", "label"},
                        {"label", "label"},
                        {"wait=x", "wait"},
                        {"wait=61", "wait"},
                        {"limit=0", "limit"},
                        {"limit=10001", "limit"},
                        {"after=x", "after"},
                        {"after=1-x", "after"},
                        {"after=x-00000000000040008000000000000001", "after"},
                        {"after=123456789012345678901234-00000000000040008000000000000001", "after"},
        };
        char target[1024], *at = target;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                (void) snprintf(target, sizeof target, "/v1/receivers?%s", bad[i].query);
                assert_int_equal(get(target), 400);
                assert_string_equal(code(), "invalid");
                assert_string_equal(wrong_field(), bad[i].field);
        }
        at = stpcpy(at, "/v1/receivers?");
        for (unsigned i = 0; i <= LABELS_MAX; i++)
                at = stpcpy(at, "&label=a=b");
        assert_int_equal(get(target), 400);
        assert_string_equal(wrong_field(), "label");
}

static void test_revisions(void **state)
{
        const char *all = revision_of("/v1/receivers"), *g = revision_of("/v1/receivers?group=g");
        Receiver a = join("a", NULL);

        assert_string_not_equal(all, revision_of("/v1/receivers"));
        /* The group g has not changed. */
        assert_string_equal(g, revision_of("/v1/receivers?group=g"));
        all = revision_of("/v1/receivers");
        assert_int_equal(heartbeat(&a), 200);
        assert_int_equal(again(&a, a.token, 1, ""), 200);
        assert_string_equal(all, revision_of("/v1/receivers"));
        drain(&a, true);
        assert_string_not_equal(all, revision_of("/v1/receivers"));
        all = revision_of("/v1/receivers");
        drain(&a, true);
        assert_string_equal(all, revision_of("/v1/receivers"));
}

/* A group that comes back, and one that nobody has seen yet, have not the revision of an earlier list. */
static void test_forgotten_group(void **state)
{
        const char *never = revision_of("/v1/receivers?group=g");
        Receiver a = join("a", "g");
        const char *one = revision_of("/v1/receivers?group=g");

        leave(&a);
        const char *empty = revision_of("/v1/receivers?group=g");
        assert_string_not_equal(empty, one);
        assert_string_not_equal(empty, never);
        assert_string_equal(empty, revision_of("/v1/receivers?group=h"));
        (void) join("a", "g");
        assert_string_not_equal(revision_of("/v1/receivers?group=g"), one);
}

static void test_etag(void **state)
{
        char etag[128], strong[128], several[300];

        (void) join("a", NULL);
        get("/v1/receivers");
        (void) snprintf(etag, sizeof etag, "%s", answer.etag);
        (void) snprintf(strong, sizeof strong, "%s", etag + 2);
        (void) snprintf(several, sizeof several, "\"x\", %s", etag);
        assert_int_equal(strncmp(etag, "W/\"", 3), 0);
        /* More than once: the answer is kept, too. */
        for (int i = 0; i < 2; i++) {
                assert_int_equal(get_unless("/v1/receivers", etag), 304);
                assert_int_equal(answer.size, 0);
                assert_string_equal(answer.etag, etag);
                assert_int_equal(get_unless("/v1/receivers", strong), 304);
                assert_int_equal(get_unless("/v1/receivers", several), 304);
                assert_int_equal(get_unless("/v1/receivers", "*"), 304);
                assert_int_equal(get_unless("/v1/receivers", "\"x\""), 200);
        }
        assert_int_equal(get_unless("/v1/receivers?label=a=b", etag), 304);
        assert_int_equal(get_unless("/v1/receivers?group=none", "*"), 304);
        (void) join("b", NULL);
        assert_int_equal(get_unless("/v1/receivers", etag), 200);
        assert_string_equal(names(), "a b");
}

static void inflate_to(const TestExchange *x, char *ret, size_t size)
{
        z_stream z = {
                        .next_in = (Bytef *) (uintptr_t) x->body,
                        .avail_in = (uInt) x->size,
                        .next_out = (Bytef *) ret,
                        .avail_out = (uInt) size - 1,
        };

        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        ret[z.total_out] = '\0';
        (void) inflateEnd(&z);
}

static void test_gzip(void **state)
{
        static char text[65536];
        size_t plain;

        (void) join("r", NULL);
        (void) get_encoded("/v1/receivers", "gzip");
        assert_string_equal(names(), "r"); /* too small to be worth it */
        join_many(20);
        assert_int_equal(get("/v1/receivers"), 200);
        plain = answer.size;
        for (int i = 0; i < 2; i++) {
                const TestExchange *x = begin_as(i ? "/v1/receivers?label=a=b" : "/v1/receivers",
                                "Accept-Encoding", "br, gzip;q=0.5");
                if (i == 0) {
                        assert_string_equal(world_header(x, "Content-Encoding"), "gzip");
                        inflate_to(x, text, sizeof text);
                        assert_int_equal(strlen(text), plain);
                } else
                        assert_null(world_header(x, "Content-Encoding"));
                assert_string_equal(world_header(x, "Vary"), "Accept-Encoding");
        }
        (void) get_encoded("/v1/receivers", "gzip;q=0");
        assert_int_equal(answer.size, plain);
}

static void test_kept(void **state)
{
        Receiver a = join("a", "g");

        get("/v1/receivers?group=g");
        const HttpAnswer *one = group_find(&d->groups, "g")->list.plain;
        assert_non_null(one);
        get("/v1/receivers?group=g");
        assert_ptr_equal(one, group_find(&d->groups, "g")->list.plain);
        get("/v1/receivers?label=a=b"); /* a list with conditions is not kept */
        assert_null(d->groups.all.list.plain);
        assert_int_equal(d->lists.cached_size, group_find(&d->groups, "g")->list.size);
        get("/v1/receivers?group=g&limit=1"); /* another limit is another list */
        assert_int_equal(group_find(&d->groups, "g")->list.limit, 1);
        get("/v1/receivers");
        assert_ptr_equal(d->lists.cached->list.next, &d->groups.all);
        leave(&a);
        assert_null(d->lists.cached);
        assert_int_equal(d->lists.cached_size, 0);
        /* A group without a lease has no list to keep. */
        get("/v1/receivers?group=g");
        assert_null(d->lists.cached);
}

static void test_out_of_memory(void **state)
{
        (void) join("a", NULL);
        for (unsigned n = 1; n <= 3; n++) {
                lists_clear(&d->lists);
                world_fail_answer(n);
                assert_int_equal(get("/v1/receivers"), 503);
                assert_string_equal(code(), "unavailable");
                assert_null(d->groups.all.list.plain);
        }
        world_fail_answer(1);
        assert_int_equal(get("/v1/receivers?label=a=b"), 503);
        world_fail_answer(1);
        assert_int_equal(get_unless("/v1/receivers", "*"), 503);
        assert_int_equal(get("/v1/receivers"), 200);
}

static void test_pages(void **state)
{
        char target[256], revision[REVISION_MAX];
        unsigned n = 0, n_pages = 0;

        join_many(10);
        (void) snprintf(target, sizeof target, "/v1/receivers?limit=3");
        do {
                assert_int_equal(get(target), 200);
                if (n == 0) {
                        assert_string_equal(names(), "r000 r001 r002"); /* the order of changes */
                        (void) snprintf(revision, sizeof revision, "%s", field("revision"));
                }
                assert_string_equal(field("revision"), revision);
                n += (unsigned) cJSON_GetArraySize(cJSON_GetObjectItem(answer.json, "receivers"));
                n_pages++;
                (void) snprintf(target, sizeof target, "/v1/receivers?limit=3&after=%s", field("next"));
        } while (has("next"));
        assert_int_equal(n, 10);
        assert_int_equal(n_pages, 4);
        assert_string_equal(
                        list("/v1/receivers?limit=10"), "r000 r001 r002 r003 r004 r005 r006 r007 r008 r009");
        assert_false(has("next"));
}

static void test_cursor_gone(void **state)
{
        Receiver a = join("a", "g"), b = join("b", "g");
        char target[256];

        (void) join("c", "g");
        get("/v1/receivers?group=g&limit=2");
        assert_string_equal(names(), "a b");
        (void) snprintf(target, sizeof target, "/v1/receivers?group=g&limit=2&after=%s", field("next"));
        assert_string_equal(list(target), "c");
        leave(&a);
        assert_string_equal(list(target), "c");
        drain(&b, true);
        assert_int_equal(get(target), 410);
        assert_string_equal(code(), "cursor-gone");
        /* A cursor of another list. */
        get("/v1/receivers?limit=1");
        (void) snprintf(target, sizeof target, "/v1/receivers?group=h&after=%s", field("next"));
        assert_int_equal(get(target), 410);
        leave(&b);
        (void) snprintf(target, sizeof target, "/v1/receivers?after=1-%032x", 7);
        assert_int_equal(get(target), 410);
}

static void test_changes(void **state)
{
        const char *nothing = revision_of("/v1/receivers");
        Receiver a = join("a", "g"), b = join("b", "g");
        const char *two = revision_of("/v1/receivers");

        assert_string_equal(changes("", nothing), "b a -0");
        assert_string_equal(field("since"), nothing);
        assert_string_equal(changes("", two), "-0");
        (void) join("c", "h");
        assert_string_equal(changes("", two), "c -0");
        assert_string_equal(changes("group=g", two), "-0");
        leave(&a);
        assert_string_equal(changes("", two), "c -1");
        assert_string_equal(changes("group=g", two), "-1");
        assert_string_equal(changes("group=h", two), "c -0");
        /* One that moves is among the removed of its old group only. */
        assert_int_equal(again(&b, b.token, 1, ",\"group\":\"h\""), 200);
        assert_string_equal(changes("", two), "b c -1");
        assert_string_equal(changes("group=g", two), "-2");
        assert_string_equal(changes("group=h", two), "b c -0");
        /* The list itself: a revision of another start, of the future, or no revision. */
        assert_string_equal(changes("", "x"), "b c");
        assert_string_equal(changes("", "0123456789ab-1"), "b c");
        char later[REVISION_MAX];
        (void) snprintf(later, sizeof later, "%s-999", d->groups.epoch);
        assert_string_equal(changes("", later), "b c");
        assert_false(has("since"));
        /* More than the limit. */
        assert_string_equal(changes("limit=1", two), "c");
        assert_true(has("next"));
}

static void test_changes_of_labels(void **state)
{
        Receiver a = join_with("a", 1, ",\"labels\":{\"zone\":\"x\"}");
        const char *one = revision_of("/v1/receivers");

        assert_int_equal(again(&a, a.token, 1, ",\"labels\":{\"zone\":\"y\"}"), 200);
        assert_string_equal(changes("label=zone=x", one), "-1");
        assert_string_equal(changes("label=zone=y", one), "a -0");
}

static void test_tombstones_are_bounded(void **state)
{
        const char *one;
        Receiver a = join("a", NULL);

        one = revision_of("/v1/receivers");
        for (unsigned i = 0; i < TOMBSTONES_MAX; i++) {
                Receiver b = join("b", NULL);
                leases_remove(&d->leases, lease_index_find_name(&d->leases.index, b.name));
        }
        (void) revision_of("/v1/receivers");
        assert_non_null(strchr(changes("", one), '-'));
        leave(&a);
        assert_string_equal(changes("", one), "");
        assert_false(has("since"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        T(test_conditions),
                        T(test_bad_queries),
                        T(test_revisions),
                        T(test_forgotten_group),
                        T(test_etag),
                        T(test_gzip),
                        T(test_kept),
                        T(test_out_of_memory),
                        T(test_pages),
                        T(test_cursor_gone),
                        T(test_changes),
                        T(test_changes_of_labels),
                        T(test_tombstones_are_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
