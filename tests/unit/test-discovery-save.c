/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The registry on disk: what it holds after a restart, a crash, and a disk that refuses. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery-fixture.h"

#define WRITTEN_USEC (200 * USEC_PER_MSEC)

static void crash(void)
{
        fake_disk_crash();
        stop();
        fake_disk_power_on(FAKE_LOSE, 0);
        start();
}

static const char *all(void)
{
        assert_int_equal(get("/v1/receivers"), 200);
        return names();
}

#define HOST                                                                                                \
        "\"host\":{\"machine\":\"11111111-1111-4111-8111-111111111111\","                                   \
        "\"boot\":\"22222222-2222-4222-8222-222222222222\"}"

static void test_restart(void **state)
{
        Receiver a = join_with("a", 1, ",\"group\":\"g\",\"labels\":{\"zone\":\"x\"},\"capacity\":7," HOST),
                 b = join("b", NULL);
        const char *before = revision_of("/v1/receivers");

        drain(&a, true);
        restart();
        assert_string_equal(all(), "a b");
        assert_string_not_equal(field("revision"), before);
        assert_int_equal(ask_of("GET", &a, "", NULL, NULL), 200);
        assert_string_equal(field("group"), "g");
        assert_true(number("capacity") == 7);
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(answer.json, "draining")));
        assert_non_null(strstr(answer.text, "{\"zone\":\"x\"}"));
        assert_non_null(strstr(answer.text, "," HOST ","));
        /* Tokens stay, and every lease begins a full new period. */
        assert_true(number("expires_in_ms") > 29000);
        assert_int_equal(heartbeat(&a), 200);
        assert_int_equal(heartbeat(&b), 200);
        /* A change since then gets its own row. */
        (void) join("c", NULL);
        leave(&b);
        restart();
        assert_string_equal(all(), "a c");
}

/* What is written survives a crash; what the last moment brought does not. */
static void test_crash(void **state)
{
        Receiver a = join("a", NULL);

        world_advance(WRITTEN_USEC);
        (void) join("b", NULL);
        crash();
        assert_string_equal(all(), "a");
        assert_int_equal(heartbeat(&a), 200);
        leave(&a);
        world_advance(WRITTEN_USEC);
        crash();
        assert_string_equal(all(), "");
}

/* Changes are collected; a lease is written once. */
static void test_collected(void **state)
{
        Receiver a = join("a", NULL);

        for (unsigned i = 1; i < 10; i++) {
                char more[32];

                (void) snprintf(more, sizeof more, ",\"capacity\":%u", i + 1);
                assert_int_equal(again(&a, a.token, 1, more), 200);
        }
        assert_int_equal(buffer_size(&d->save.unsaved), sizeof(sd_id128_t));
        world_advance(100 * USEC_PER_MSEC - 1);
        assert_int_equal(buffer_size(&d->save.unsaved), sizeof(sd_id128_t));
        world_advance(2);
        assert_int_equal(buffer_size(&d->save.unsaved), 0);
        assert_false(d->save.running);
        /* A heartbeat is not a change. */
        unsigned n = fake_disk_operations();
        assert_int_equal(heartbeat(&a), 200);
        world_advance(USEC_PER_SEC);
        assert_int_equal(fake_disk_operations(), n);
}

/* A change while a batch is being written is written with the next one. */
static void test_change_while_saving(void **state)
{
        Receiver a = join("a", NULL);

        world_hold_disk(true);
        world_advance(WRITTEN_USEC);
        assert_true(d->save.running);
        (void) join("b", NULL);
        leave(&a);
        world_advance(WRITTEN_USEC);
        world_hold_disk(false);
        world_advance(WRITTEN_USEC);
        crash();
        assert_string_equal(all(), "b");
}

/* The same id leaves and is back before anything was written. */
static void test_id_comes_back(void **state)
{
        Receiver a = join("a", NULL);

        world_advance(WRITTEN_USEC);
        leave(&a);
        assert_int_equal(again(&a, NULL, 2, ""), 201);
        (void) snprintf(a.token, sizeof a.token, "%s", field("token"));
        world_advance(WRITTEN_USEC);
        crash();
        assert_string_equal(all(), "a");
        assert_int_equal(heartbeat(&a), 200);
}

static void test_disk_refuses(void **state)
{
        Receiver a = join("a", NULL), b = join("b", NULL);

        world_advance(WRITTEN_USEC);
        leave(&b);
        (void) join("c", NULL);
        Receiver gone = join("gone", NULL);
        fake_disk_fail(1, ENOSPC, true);
        world_advance(WRITTEN_USEC);
        assert_int_equal(buffer_size(&d->save.unsaved), 2 * sizeof(sd_id128_t));
        assert_int_equal(buffer_size(&d->save.removed), sizeof(uint64_t));
        leave(&gone);
        assert_int_equal(heartbeat(&a), 200); /* nobody notices */
        world_advance(3 * USEC_PER_SEC);
        assert_string_equal(all(), "a c");
        fake_disk_fail(0, 0, false);
        world_advance(USEC_PER_SEC + WRITTEN_USEC);
        assert_int_equal(buffer_size(&d->save.unsaved), 0);
        assert_int_equal(buffer_size(&d->save.removed), 0);
        crash();
        assert_string_equal(all(), "a c");
}

/* More changes than one batch takes. */
static void test_batches(void **state)
{
        enum { N = 5000 };
        ReceiverInfo info = {.group = (char *) "g", .plain = true, .capacity = 1};
        char name[32];
        Lease *l;

        for (unsigned i = 0; i < N; i++) {
                (void) snprintf(name, sizeof name, "r%u", i);
                info.name = name;
                info.addresses = &(Address){.kind = ADDRESS_UNIX, .host = "/x"}, info.n_addresses = 1;
                memcpy(info.id.bytes, &(uint64_t){i + 1}, 8);
                assert_int_equal(leases_put(&d->leases, &info, (sd_id128_t){}, &l), 0);
        }
        restart(); /* at the end all of them are written */
        assert_int_equal(d->groups.all.n_leases, N);
        assert_int_equal(d->save.last_row, N);
        while (d->groups.all.first)
                leases_remove(&d->leases, d->groups.all.first);
        world_advance(WRITTEN_USEC);
        assert_int_equal(buffer_size(&d->save.removed), 0);
        crash();
        assert_int_equal(d->groups.all.n_leases, 0);
}

static void on_put(DbOp *op, int r)
{
        assert_int_equal(r, 0);
}

/* A record as an older or a newer program may have written it. */
static void put(uint64_t row, const char *record)
{
        RegistryBatch b;

        registry_batch_init(&b);
        assert_int_equal(registry_put(&b, row, (sd_id128_t){}, (sd_id128_t){}, record, strlen(record)), 0);
        b.op.done = on_put;
        db_submit(d->db, &b.op);
        world_settle();
        registry_batch_clear(&b);
}

/* Records that cannot be read, or that take what another has, are left out. */
static void test_bad_records(void **state)
{
        Receiver a = join("a", NULL);
        static const char format[] = "{\"id\":\"00000000-0000-4000-8000-000000000007\",\"instance\":"
                                     "\"00000000-0000-4000-8000-000000000008\",\"name\":\"%s\","
                                     "\"group\":\"g\",\"addresses\":[\"unix:/x\"],\"capacity\":1}";
        char good[512], same_name[512];

        world_advance(WRITTEN_USEC);
        (void) snprintf(good, sizeof good, format, "good");
        (void) snprintf(same_name, sizeof same_name, format, "a");
        put(100, "x");
        put(101, same_name);
        put(102, good);
        put(103, good);
        restart();
        assert_string_equal(all(), "a good");
        assert_int_equal(d->save.last_row, 103); /* no row is used twice */
        assert_int_equal(heartbeat(&a), 200);
}

static void test_disk_hangs(void **state)
{
        world_hold_disk(true);
        (void) join("a", NULL);
        world_advance(30 * USEC_PER_SEC);
        assert_true(database_is_alive(&d->database));
        world_advance(USEC_PER_SEC);
        assert_false(database_is_alive(&d->database));
        world_hold_disk(false);
        world_settle();
        assert_true(database_is_alive(&d->database));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        T(test_restart),
                        T(test_crash),
                        T(test_collected),
                        T(test_change_while_saving),
                        T(test_id_comes_back),
                        T(test_disk_refuses),
                        T(test_batches),
                        T(test_bad_records),
                        T(test_disk_hangs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
