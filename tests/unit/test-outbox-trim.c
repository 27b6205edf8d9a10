/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the outbox forgets: settled messages, names of senders, streams and receivers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "outbox-fixture.h"

static void test_trim_keeps_the_newest_and_what_is_open(void **state)
{
        Fixture *f = *state;
        OutboxTrimOp trim;
        OutboxFindOp o;

        for (uint64_t i = 1; i <= 6; i++) {
                OutboxRecord record = bind(record_of(i, "any//"), i);
                insert(f, &record);
                if (i == 1)
                        continue;
                record.state = i == 2 ? DELIVERY_REJECTED : DELIVERY_ACKED;
                record.settled_usec = 9000 + i;
                assert_int_equal(save(f, &record), 0);
        }
        outbox_trim_op_init(&trim);
        trim.keep = 2;
        assert_int_equal(run(f, &trim.op), 0);
        outbox_find_op_init(&o, OUTBOX_NEWEST, 10);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        find(f, &o, (uint64_t[]){6, 5, 2, 1}, 4);
}

/* Of the tables and SQLite's own log. */
static size_t size_of_tables(const char *path)
{
        struct stat tables, log;
        char name[128];

        (void) snprintf(name, sizeof name, "%s-wal", path);
        assert_int_equal(stat(path, &tables), 0);
        assert_int_equal(stat(name, &log), 0);
        return (size_t) (tables.st_size + log.st_size);
}

static size_t count_all(Fixture *f)
{
        OutboxFindOp o;

        outbox_find_op_init(&o, OUTBOX_NEWEST, 2000);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        assert_int_equal(run(f, &o.op), 0);
        outbox_records_free(o.records, o.n_records);
        return o.n_records;
}

/* A backlog that has been delivered: no new message comes. */
static void test_thorough_trim_gives_space_back(void **state)
{
        static char payload[4000];
        Fixture *f = *state;
        OutboxTrimOp trim;

        for (uint64_t i = 1; i <= 1000; i++) {
                OutboxRecord record = record_of(i, "any//");
                OutboxInsertOp insertion;

                outbox_insert_op_init(&insertion);
                insertion.record = record;
                insertion.record.size = sizeof payload;
                insertion.payload = payload;
                assert_int_equal(run(f, &insertion.op), 0);
        }
        outbox_trim_op_init(&trim);
        trim.keep = 20;
        assert_int_equal(run(f, &trim.op), 0);
        assert_int_equal(count_all(f), 1000);
        for (uint64_t i = 1; i <= 1000; i++) {
                OutboxRecord record = record_of(i, "any//");
                record.state = DELIVERY_ACKED;
                record.settled_usec = 9000;
                assert_int_equal(save(f, &record), 0);
        }
        const size_t before = size_of_tables(f->path);
        assert_true(before > 1000 * sizeof payload);
        outbox_trim_op_init(&trim);
        trim.keep = 20;
        trim.thorough = true;
        assert_int_equal(run(f, &trim.op), 0);
        assert_int_equal(count_all(f), 20);
        assert_int_equal(run(f, &trim.op), 0); /* the worker has ended what follows the batch before */
        assert_true(size_of_tables(f->path) < before / 4);
}

#define MANY 20500u

static void insert_many_acked(Fixture *f)
{
        OutboxInsertOp *inserts = calloc(MANY, sizeof *inserts);

        for (uint64_t i = 1; i <= MANY; i++) {
                OutboxInsertOp *o = inserts + i - 1;
                outbox_insert_op_init(o);
                o->record = record_of(i, "any//");
                memcpy(o->record.id.bytes + 8, &i, sizeof i);
                o->record.state = DELIVERY_ACKED;
                o->record.settled_usec = 9000;
                o->payload = "hello";
                o->op.done = on_done;
                db_submit(f->db, &o->op);
        }
        db_kick(f->db);
        while (db_pending(f->db) > 0) {
                struct pollfd p = {.fd = db_fd(f->db), .events = POLLIN};
                assert_int_equal(poll(&p, 1, 20000), 1);
                db_dispatch(f->db);
        }
        free(inserts);
}

/* However many there are, others do not wait for long. */
static void test_trim_comes_to_an_end_in_steps(void **state)
{
        Fixture *f = *state;
        OutboxTrimOp trim;
        unsigned steps = 0;

        insert_many_acked(f);
        do {
                outbox_trim_op_init(&trim);
                trim.keep = 20;
                trim.thorough = true;
                assert_int_equal(run(f, &trim.op), 0);
                steps++;
        } while (trim.more);
        assert_int_equal(steps, 2);
        assert_int_equal(count_all(f), 20);
}

/* How many are there once a message with a name of its sender's own has come, and was acked. */
static size_t count_behind(Fixture *f, uint64_t number)
{
        OutboxRecord record = record_of(number, "any//");
        OutboxInsertOp insertion;
        OutboxTrimOp trim;
        OutboxFindOp o;
        char key[32];

        (void) snprintf(key, sizeof key, "key %d", (int) number);
        outbox_insert_op_init(&insertion);
        insertion.record = record;
        insertion.payload = "payload";
        insertion.key = key;
        assert_int_equal(run(f, &insertion.op), 0);
        record.state = DELIVERY_ACKED;
        record.settled_usec = 9000;
        assert_int_equal(save(f, &record), 0);
        outbox_trim_op_init(&trim);
        trim.keep = 16;
        trim.keys_since_usec = 10000;
        assert_int_equal(run(f, &trim.op), 0);
        outbox_find_op_init(&o, OUTBOX_NEWEST, 100);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        assert_int_equal(run(f, &o.op), 0);
        outbox_records_free(o.records, o.n_records);
        return o.n_records;
}

/* A walk over all that is kept is worth an eighth of it. */
static void test_trim_comes_with_an_eighth_more(void **state)
{
        uint64_t number = 1;

        for (; number <= 16; number++)
                (void) count_behind(*state, number);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(count_behind(*state, number++), 17);
                assert_int_equal(count_behind(*state, number++), 16);
        }
}

/* A sender's own name is known for its time, but not behind a million others. */
static void test_trim_bounds_the_names(void **state)
{
        Fixture *f = *state;
        OutboxTrimOp trim;
        OutboxFindOp o;

        for (size_t i = 0; i < 3; i++) {
                OutboxRecord record = record_of((uint64_t[]){1, 2, KEYS_KEPT_MAX + 1}[i], "any//");
                OutboxInsertOp insertion;

                outbox_insert_op_init(&insertion);
                insertion.record = record;
                insertion.payload = "payload";
                insertion.key = (const char *[]){"a", "b", "c"}[i];
                assert_int_equal(run(f, &insertion.op), 0);
                record.state = DELIVERY_ACKED;
                record.settled_usec = 9000;
                assert_int_equal(save(f, &record), 0);
        }
        outbox_trim_op_init(&trim);
        assert_int_equal(run(f, &trim.op), 0);
        outbox_find_op_init(&o, OUTBOX_NEWEST, 10);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        find(f, &o, (uint64_t[]){KEYS_KEPT_MAX + 1, 2}, 2);
}

static void test_streams_and_receivers_are_forgotten(void **state)
{
        Fixture *f = *state;
        OutboxRecord record = bind(record_of(1, "any//"), 1);
        OutboxReceiverOp known;
        OutboxStreamOp closed;

        insert(f, &record);
        outbox_receiver_op_init(&known);
        known.id = receiver;
        known.record = "{}";
        assert_int_equal(run(f, &known.op), 0);
        start(f);
        assert_int_equal(f->n_streams, 1);
        assert_int_equal(f->n_receivers, 1);

        outbox_stream_op_init(&closed);
        closed.stream = stream;
        closed.receiver = receiver;
        assert_int_equal(run(f, &closed.op), 0);
        outbox_receiver_op_init(&known);
        known.id = receiver;
        assert_int_equal(run(f, &known.op), 0);
        start(f);
        assert_int_equal(f->n_streams, 0);
        assert_int_equal(f->n_receivers, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_trim_comes_to_an_end_in_steps, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_trim_comes_with_an_eighth_more, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_trim_keeps_the_newest_and_what_is_open, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_thorough_trim_gives_space_back, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_trim_bounds_the_names, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_streams_and_receivers_are_forgotten, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
