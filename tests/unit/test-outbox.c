/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "crash.h"
#include "store/outbox.h"

static const sd_id128_t stream = {.bytes = {3}}, receiver = {.bytes = {4}};

typedef struct Fixture {
        char directory[64];
        char path[96];
        Db *db;
        int result; /* of the last operation */

        /* what loading told */
        sd_id128_t client;
        uint64_t last_number, n_open, n_dead, n_queued;
        unsigned n_bound, n_streams, n_receivers, n_wholes, n_acked, n_failed, n_members;
        OutboxRecord bound;
} Fixture;

static Fixture *fixture;

static void on_client(sd_id128_t id, uint64_t last_number, uint64_t n_open, uint64_t n_dead, void *userdata)
{
        Fixture *f = userdata;

        f->client = id, f->last_number = last_number, f->n_open = n_open, f->n_dead = n_dead;
}

static int on_bound(OutboxRecord *record, void *userdata)
{
        Fixture *f = userdata;

        outbox_record_clear(&f->bound);
        f->bound = *record;
        *record = (OutboxRecord){};
        f->n_bound++;
        return 0;
}

static int on_queued(const char *queue, uint64_t n, void *userdata)
{
        if (!str_equal(queue, "any//"))
                fail_msg("queue %s", queue);
        ((Fixture *) userdata)->n_queued = n;
        return 0;
}

static int on_whole(OutboxRecord *record, unsigned n_acked, unsigned n_failed, unsigned n_members,
                void *userdata)
{
        Fixture *f = userdata;

        f->n_wholes++;
        f->n_acked = n_acked, f->n_failed = n_failed, f->n_members = n_members;
        return 0;
}

static int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        assert_true(sd_id128_equal(id, stream) && sd_id128_equal(to, receiver));
        ((Fixture *) userdata)->n_streams++;
        return 0;
}

static int on_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        assert_string_equal(record, "{}");
        ((Fixture *) userdata)->n_receivers++;
        return 0;
}

/* As a start after a crash: everything that was answered is there. */
static void start(Fixture *f)
{
        const OutboxLoad load = {on_client, on_bound, on_queued, on_whole, on_stream, on_receiver, f};
        Error error = {};

        if (f->db)
                f->db = crash(f->directory, f->db);
        f->n_wholes = f->n_queued = f->n_bound = f->n_streams = f->n_receivers = 0;
        assert_int_equal(outbox_open(f->path, &f->db, &error), 0);
        assert_int_equal(outbox_load(f->db, &load), 0);
        assert_int_equal(db_start(f->db), 0);
}

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        (void) snprintf(f->directory, sizeof f->directory, "/tmp/test-outbox-XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        (void) snprintf(f->path, sizeof f->path, "%s/db", f->directory);
        *state = fixture = f;
        start(f);
        return 0;
}

static int teardown(void **state)
{
        Fixture *f = *state;
        char command[96];

        db_close(f->db);
        outbox_record_clear(&f->bound);
        (void) snprintf(command, sizeof command, "rm -rf %s", f->directory);
        free(f);
        return system(command);
}

static void on_done(DbOp *op, int r)
{
        fixture->result = r;
}

static int run(Fixture *f, DbOp *op)
{
        struct pollfd p = {.fd = db_fd(f->db), .events = POLLIN};

        op->done = on_done;
        f->result = 1;
        db_submit(f->db, op);
        db_kick(f->db);
        while (f->result == 1) {
                assert_int_equal(poll(&p, 1, 20000), 1);
                db_dispatch(f->db);
        }
        return f->result;
}

static OutboxRecord record_of(uint64_t number, const char *queue)
{
        OutboxRecord record = {
                        .number = number,
                        .id = {.bytes = {0xab, (uint8_t) (number >> 8), (uint8_t) number}},
                        .target = (char *) "",
                        .queue = (char *) queue,
                        .size = 5,
                        .accepted_usec = 1000 + number,
        };

        return record;
}

static void insert(Fixture *f, const OutboxRecord *record)
{
        OutboxInsertOp o;

        outbox_insert_op_init(&o);
        o.record = *record;
        o.payload = "hello";
        assert_int_equal(run(f, &o.op), 0);
}

static OutboxRecord bind(OutboxRecord record, uint64_t sequence)
{
        record.state = DELIVERY_BOUND;
        record.receiver = receiver;
        record.stream = stream;
        record.sequence = sequence;
        strcpy(record.receiver_name, "1@host");
        return record;
}

static int save(Fixture *f, const OutboxRecord *record)
{
        OutboxSaveOp o;

        outbox_save_op_init(&o);
        o.record = *record;
        return run(f, &o.op);
}

static int payload(Fixture *f, uint64_t number)
{
        OutboxPayloadOp o;

        outbox_payload_op_init(&o);
        o.number = number;
        int r = run(f, &o.op);
        if (r >= 0) {
                assert_int_equal(o.size, 5);
                assert_memory_equal(o.payload, "hello", 5);
                free(o.payload);
        }
        return r;
}

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

static void find(Fixture *f, OutboxFindOp *o, const uint64_t *numbers, size_t n)
{
        assert_int_equal(run(f, &o->op), 0);
        assert_int_equal(o->n_records, n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(o->records[i].number, numbers[i]);
        outbox_records_free(o->records, o->n_records);
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

        f->db = db_close(f->db);
        (void) unlink(f->path);
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
                        cmocka_unit_test_setup_teardown(test_whole_is_counted_at_a_start, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_key_of_the_sender, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_tries, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_first_version_is_taken_over, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_trim_comes_with_an_eighth_more, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_trim_keeps_the_newest_and_what_is_open, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_trim_bounds_the_names, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_streams_and_receivers_are_forgotten, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
