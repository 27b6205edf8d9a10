/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "outbox-fixture.h"

static void test_identity_is_kept(void **state)
{
        Fixture *f = *state;
        sd_id128_t first = f->client;

        assert_false(sd_id128_is_null(first));
        start(f);
        assert_true(sd_id128_equal(first, f->client));
}

static void test_queued_bound_settled(void **state)
{
        Fixture *f = *state;
        OutboxRecord queued = record_of(1, "any//"), bound = bind(record_of(2, "any//"), 7);

        insert(f, &queued);
        insert(f, &bound);
        start(f);
        assert_int_equal(f->last_number, 2);
        assert_int_equal(f->n_open, 2);
        assert_int_equal(f->n_queued, 1);
        assert_int_equal(f->n_bound, 1);
        assert_int_equal(f->n_streams, 1);
        assert_int_equal(f->bound.sequence, 7);
        assert_string_equal(f->bound.receiver_name, "1@host");
        assert_int_equal(payload(f, 2), 0);

        bound.state = DELIVERY_ACKED;
        bound.settled_usec = 5000;
        bound.reply = (void *) "fine";
        bound.reply_size = 4;
        assert_int_equal(save(f, &bound), 0);
        assert_int_equal(payload(f, 2), -ENOENT);
        queued = bind(queued, 8);
        assert_int_equal(save(f, &queued), 0);
        start(f);
        assert_int_equal(f->n_open, 1);
        assert_int_equal(f->n_queued, 0);
        assert_int_equal(f->bound.sequence, 8);
        assert_int_equal(f->bound.number, 1);

        queued.state = DELIVERY_DEAD;
        assert_int_equal(save(f, &queued), 0);
        start(f);
        assert_int_equal(f->n_open, 0);
        assert_int_equal(f->n_dead, 1);
}

static void test_find(void **state)
{
        Fixture *f = *state;
        OutboxFindOp o;

        for (uint64_t i = 1; i <= 5; i++) {
                OutboxRecord record = record_of(i, i == 4 ? "any/other/" : "any//");
                if (i == 2)
                        record = bind(record, 1);
                insert(f, &record);
        }
        outbox_find_op_init(&o, OUTBOX_QUEUE, 2);
        o.queue = "any//";
        find(f, &o, (uint64_t[]){1, 3}, 2);
        outbox_find_op_init(&o, OUTBOX_QUEUE, 2);
        o.queue = "any//";
        o.number = 3;
        find(f, &o, (uint64_t[]){5}, 1);
        outbox_find_op_init(&o, OUTBOX_NEWEST, 3);
        o.number = INT64_MAX;
        o.states = 1u << DELIVERY_QUEUED;
        find(f, &o, (uint64_t[]){5, 4, 3}, 3);
        outbox_find_op_init(&o, OUTBOX_NEWEST, 3);
        o.states = 1u << DELIVERY_QUEUED | 1u << DELIVERY_BOUND;
        o.number = 3;
        find(f, &o, (uint64_t[]){2, 1}, 2);
        outbox_find_op_init(&o, OUTBOX_ID, 2);
        o.first = (sd_id128_t){.bytes = {0xab, 0, 3}};
        o.last = (sd_id128_t){.bytes = {0xab, 0, 3, 0xff}};
        find(f, &o, (uint64_t[]){3}, 1);
}

/* A whole with two members: what is counted at a start, and that the payload stays while a member is under
 * way. */
static void test_whole(void **state)
{
        Fixture *f = *state;
        OutboxRecord whole = record_of(1, "all//"),
                     members[2] = {record_of(1, "to/a"), record_of(1, "to/b")};
        OutboxInsertOp o;
        OutboxJoinOp join;
        OutboxFindOp all;

        whole.state = DELIVERY_GATHERING;
        members[0].member = 1;
        members[1].member = 2;
        outbox_insert_op_init(&o);
        o.record = whole;
        o.payload = "hello";
        o.members = members;
        o.n_members = 2;
        assert_int_equal(run(f, &o.op), 0);

        outbox_join_op_init(&join);
        join.member = record_of(1, "to/b");
        assert_int_equal(run(f, &join.op), -EEXIST);
        join.member = record_of(1, "to/c");
        assert_int_equal(run(f, &join.op), 0);
        assert_int_equal(join.member.member, 3);
        outbox_find_op_init(&all, OUTBOX_MEMBERS, 10);
        all.number = 1;
        find(f, &all, (uint64_t[]){1, 1, 1}, 3);

        members[0] = bind(members[0], 1);
        members[0].state = DELIVERY_ACKED;
        assert_int_equal(save(f, &members[0]), 0);
        whole.state = DELIVERY_ACKED;
        assert_int_equal(save(f, &whole), 0);
        assert_int_equal(payload(f, 1), 0);
        members[1].state = join.member.state = DELIVERY_CANCELLED;
        assert_int_equal(save(f, &members[1]), 0);
        assert_int_equal(payload(f, 1), 0);
        assert_int_equal(save(f, &join.member), 0);
        assert_int_equal(payload(f, 1), -ENOENT);
}

static bool is_cut(Fixture *f, uint64_t number)
{
        OutboxFindOp o;
        bool cut, duplicate;

        outbox_find_op_init(&o, OUTBOX_NEWEST, 1);
        o.states = 1u << DELIVERY_ACKED;
        o.number = (int64_t) number + 1;
        assert_int_equal(run(f, &o.op), 0);
        assert_int_equal(o.n_records, 1);
        assert_int_equal(o.records[0].number, number);
        cut = o.records[0].reply_cut;
        duplicate = o.records[0].duplicate;
        outbox_records_free(o.records, o.n_records);
        assert_int_equal(duplicate, number == 2);
        return cut;
}

/* In the log, and in the tables; and nothing else changes by it. */
static void test_cut_reply(void **state)
{
        Fixture *f = *state;

        for (uint64_t i = 1; i <= 3; i++) {
                OutboxRecord record = bind(record_of(i, "any//"), i);
                insert(f, &record);
                record.state = DELIVERY_ACKED;
                record.reply_cut = i > 1;
                record.duplicate = i == 2;
                assert_int_equal(save(f, &record), 0);
        }
        for (int i = 0; i < 2; i++) {
                start(f);
                assert_false(is_cut(f, 1));
                assert_true(is_cut(f, 2));
                assert_true(is_cut(f, 3));
        }
}

static void test_too_many_members(void **state)
{
        Fixture *f = *state;
        OutboxRecord whole = record_of(1, "all//"), last = record_of(1, "to/last");
        OutboxInsertOp o;
        OutboxJoinOp join;

        whole.state = DELIVERY_GATHERING;
        last.member = MEMBERS_MAX;
        outbox_insert_op_init(&o);
        o.record = whole;
        o.payload = "hello";
        o.members = &last;
        o.n_members = 1;
        assert_int_equal(run(f, &o.op), 0);
        outbox_join_op_init(&join);
        join.member = record_of(1, "to/another");
        assert_int_equal(run(f, &join.op), -E2BIG);
}

static void test_whole_is_counted_at_a_start(void **state)
{
        Fixture *f = *state;
        OutboxRecord whole = record_of(1, "all//"),
                     members[2] = {record_of(1, "any//"), record_of(1, "any//")};
        OutboxInsertOp o;

        whole.state = DELIVERY_GATHERING;
        members[0].member = 1;
        members[1].member = 2;
        members[1].state = DELIVERY_REJECTED;
        outbox_insert_op_init(&o);
        o.record = whole;
        o.payload = "hello";
        o.members = members;
        o.n_members = 2;
        assert_int_equal(run(f, &o.op), 0);
        start(f);
        assert_int_equal(f->n_wholes, 1);
        assert_int_equal(f->n_open, 1); /* one message, whatever the members */
        assert_int_equal(f->n_dead, 0);
        assert_int_equal(f->n_acked, 0);
        assert_int_equal(f->n_failed, 1);
        assert_int_equal(f->n_members, 2);
}

/* The message had ended when the client crashed, but not all of its members. */
static void test_members_of_an_ended_message(void **state)
{
        static const struct {
                DeliveryState whole, before;
                bool duplicate;
                DeliveryState after;
        } cases[] = {
                        {DELIVERY_ACKED, DELIVERY_QUEUED, false, DELIVERY_CANCELLED},
                        {DELIVERY_DEAD, DELIVERY_QUEUED, false, DELIVERY_DEAD},
                        {DELIVERY_DEAD, DELIVERY_DELAYED, false, DELIVERY_DEAD},
                        {DELIVERY_CANCELLED, DELIVERY_DELAYED, false, DELIVERY_CANCELLED},
                        {DELIVERY_ACKED, DELIVERY_QUEUED, true, DELIVERY_QUEUED}, /* it may have begun */
                        {DELIVERY_GATHERING, DELIVERY_QUEUED, false, DELIVERY_QUEUED},
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                OutboxRecord whole = record_of(i + 1, "all//"), member = record_of(i + 1, "any//");
                OutboxInsertOp o;

                whole.state = cases[i].whole;
                member.member = 1;
                member.state = cases[i].before;
                member.duplicate = cases[i].duplicate;
                outbox_insert_op_init(&o);
                o.record = whole;
                o.payload = "hello";
                o.members = &member;
                o.n_members = 1;
                assert_int_equal(run(f, &o.op), 0);
        }
        start(f);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                OutboxFindOp o;

                outbox_find_op_init(&o, OUTBOX_MEMBERS, 10);
                o.number = i + 1;
                assert_int_equal(run(f, &o.op), 0);
                assert_int_equal(o.n_records, 1);
                assert_int_equal(o.records[0].state, cases[i].after);
                outbox_records_free(o.records, o.n_records);
        }
}

static void test_key_of_the_sender(void **state)
{
        Fixture *f = *state;
        OutboxInsertOp o;

        for (uint64_t i = 1; i <= 2; i++) {
                outbox_insert_op_init(&o);
                o.record = record_of(i, "any//");
                o.payload = "hello";
                o.key = "order-17";
                assert_int_equal(run(f, &o.op), i == 1 ? 0 : -EEXIST);
        }
        assert_true(sd_id128_equal(o.existing, record_of(1, "").id));
        assert_int_equal(payload(f, 2), -ENOENT);
}

static void test_tries(void **state)
{
        Fixture *f = *state;
        OutboxRecord record = bind(record_of(1, "any//"), 1);
        OutboxAttemptsOp all;
        OutboxSaveOp o;
        unsigned n = 0;

        insert(f, &record);
        for (unsigned i = 1; i <= ATTEMPTS_KEPT + 5; i++) {
                OutboxAttempt attempt = {.attempt = i,
                                .sent_usec = i,
                                .ended_usec = i,
                                .outcome = "failed",
                                .detail = (char *) "x"};
                outbox_save_op_init(&o);
                o.record = record;
                o.attempts = &attempt;
                assert_int_equal(run(f, &o.op), 0);
        }
        outbox_attempts_op_init(&all);
        all.number = 1;
        assert_int_equal(run(f, &all.op), 0);
        for (const OutboxAttempt *a = all.attempts; a; a = a->next)
                assert_int_equal(a->attempt, ++n + 5);
        assert_int_equal(n, ATTEMPTS_KEPT);
        outbox_attempts_free(all.attempts);
}

static void test_wake(void **state)
{
        Fixture *f = *state;
        OutboxFindOp o;

        for (uint64_t i = 1; i <= 4; i++) {
                OutboxRecord record = record_of(i, "any//");
                record.wake_usec = i == 4 ? 0 : i * 100;
                record.state = DELIVERY_DELAYED;
                insert(f, &record);
        }
        outbox_find_op_init(&o, OUTBOX_WAKE, 10);
        o.until_usec = 250;
        find(f, &o, (uint64_t[]){1, 2}, 2);
        assert_int_equal(o.next_usec, 300);
        outbox_find_op_init(&o, OUTBOX_WAKE, 10);
        o.until_usec = 300;
        o.from_usec = 200;
        o.number = 2;
        find(f, &o, (uint64_t[]){3}, 1);
        assert_int_equal(o.next_usec, USEC_INFINITY);
}

static void test_purge(void **state)
{
        Fixture *f = *state;
        OutboxRecord record = bind(record_of(1, "any//"), 1);
        OutboxPurgeOp o;

        insert(f, &record);
        outbox_purge_op_init(&o);
        o.number = 1;
        assert_int_equal(run(f, &o.op), -EBUSY);
        record.state = DELIVERY_DEAD;
        assert_int_equal(save(f, &record), 0);
        assert_int_equal(payload(f, 1), 0);
        assert_int_equal(run(f, &o.op), 0);
        assert_int_equal(payload(f, 1), -ENOENT);
}

/* What the first version wrote, with a message in it. */
static const char first_version[] =
                "CREATE TABLE client (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL);"
                "CREATE TABLE message (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, target TEXT NOT "
                "NULL,"
                " size INTEGER NOT NULL, accepted INTEGER NOT NULL, payload BLOB);"
                "CREATE TABLE delivery (message INTEGER NOT NULL, member INTEGER NOT NULL, queue TEXT NOT "
                "NULL,"
                " state INTEGER NOT NULL, receiver BLOB, receiver_name TEXT NOT NULL, stream BLOB,"
                " sequence INTEGER NOT NULL, attempts INTEGER NOT NULL, duplicate INTEGER NOT NULL,"
                " error TEXT NOT NULL, settled INTEGER NOT NULL, reply BLOB NOT NULL,"
                " PRIMARY KEY (message, member)) WITHOUT ROWID;"
                "CREATE INDEX delivery_state ON delivery (state, message);"
                "CREATE INDEX delivery_queue ON delivery (queue, message) WHERE state = 0;"
                "CREATE TABLE stream (stream BLOB NOT NULL, receiver BLOB NOT NULL, PRIMARY KEY (stream, "
                "receiver))"
                " WITHOUT ROWID;"
                "CREATE TABLE receiver (id BLOB PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;"
                "INSERT INTO message VALUES (7, x'ab000700000000000000000000000000', '', 5, 1, 'hello');"
                "INSERT INTO delivery VALUES (7, 0, 'any//', 0, NULL, '', NULL, 0, 0, 0, '', 0, '');"
                "PRAGMA user_version = 1";

static void test_first_version_is_taken_over(void **state)
{
        Fixture *f = *state;
        OutboxFindOp o;
        sqlite3 *sql;
        char sums[128];

        f->db = db_close(f->db);
        (void) unlink(f->path);
        (void) snprintf(sums, sizeof sums, "%s.sums", f->path);
        (void) unlink(sums);
        assert_int_equal(sqlite3_open(f->path, &sql), SQLITE_OK);
        assert_int_equal(sqlite3_exec(sql, first_version, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(sql), SQLITE_OK);
        start(f);
        assert_int_equal(f->n_queued, 1);
        assert_int_equal(f->last_number, 7);
        outbox_find_op_init(&o, OUTBOX_QUEUE, 2);
        o.queue = "any//";
        o.priority = PRIORITY_MAX + 1;
        assert_int_equal(run(f, &o.op), 0);
        assert_int_equal(o.n_records, 1);
        assert_true(o.records[0].policy.ack_timeout_usec == POLICY_OPEN);
        assert_false(o.records[0].reply_cut);
        assert_int_equal(o.records[0].policy.priority, PRIORITY_DEFAULT);
        outbox_records_free(o.records, o.n_records);
        assert_int_equal(payload(f, 7), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_identity_is_kept, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_queued_bound_settled, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cut_reply, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_too_many_members, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_members_of_an_ended_message, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_whole_is_counted_at_a_start, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_key_of_the_sender, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_tries, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_first_version_is_taken_over, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
