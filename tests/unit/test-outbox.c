/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "store/outbox.h"

static const sd_id128_t stream = {.bytes = {3}}, receiver = {.bytes = {4}};

typedef struct Fixture {
        char directory[64];
        char path[96];
        Db *db;
        int result; /* of the last operation */

        /* what loading told */
        sd_id128_t client;
        uint64_t last_number, n_open, n_queued;
        unsigned n_bound, n_streams, n_receivers;
        OutboxRecord bound;
} Fixture;

static Fixture *fixture;

static void on_client(sd_id128_t id, uint64_t last_number, uint64_t n_open, void *userdata)
{
        Fixture *f = userdata;

        f->client = id, f->last_number = last_number, f->n_open = n_open;
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
        assert_string_equal(queue, "any//");
        ((Fixture *) userdata)->n_queued = n;
        return 0;
}

static int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        assert_true(sd_id128_equal(id, stream) && sd_id128_equal(to, receiver));
        ((Fixture *) userdata)->n_streams++;
        return 0;
}

static int on_receiver(sd_id128_t id, const char *record, void *userdata)
{
        assert_string_equal(record, "{}");
        ((Fixture *) userdata)->n_receivers++;
        return 0;
}

/* As a start after a crash: everything that was answered is there. */
static void start(Fixture *f)
{
        const OutboxLoad load = {on_client, on_bound, on_queued, on_stream, on_receiver, f};
        Error error = {};

        f->db = db_close(f->db);
        f->n_queued = f->n_bound = f->n_streams = f->n_receivers = 0;
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
        o.first = (sd_id128_t){
                        .bytes = {0xab, 0, 3}
        };
        o.last = (sd_id128_t){
                        .bytes = {0xab, 0, 3, 0xff}
        };
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
                        cmocka_unit_test_setup_teardown(test_identity_is_kept, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_queued_bound_settled, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_trim_keeps_the_newest_and_what_is_open, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_streams_and_receivers_are_forgotten, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
