/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An outbox in a directory of its own, for the tests of it. Include it behind cmocka.h. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static inline void on_client(
                sd_id128_t id, uint64_t last_number, uint64_t n_open, uint64_t n_dead, void *userdata)
{
        Fixture *f = userdata;

        f->client = id, f->last_number = last_number, f->n_open = n_open, f->n_dead = n_dead;
}

static inline int on_bound(OutboxRecord *record, void *userdata)
{
        Fixture *f = userdata;

        outbox_record_clear(&f->bound);
        f->bound = *record;
        *record = (OutboxRecord){};
        f->n_bound++;
        return 0;
}

static inline int on_queued(const char *queue, uint64_t n, void *userdata)
{
        if (!str_equal(queue, "any//"))
                fail_msg("queue %s", queue);
        ((Fixture *) userdata)->n_queued = n;
        return 0;
}

static inline int on_whole(OutboxRecord *record, unsigned n_acked, unsigned n_failed, unsigned n_members,
                void *userdata)
{
        Fixture *f = userdata;

        f->n_wholes++;
        f->n_acked = n_acked, f->n_failed = n_failed, f->n_members = n_members;
        return 0;
}

static inline int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        assert_true(sd_id128_equal(id, stream) && sd_id128_equal(to, receiver));
        ((Fixture *) userdata)->n_streams++;
        return 0;
}

static inline int on_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        assert_string_equal(record, "{}");
        ((Fixture *) userdata)->n_receivers++;
        return 0;
}

/* As a start after a crash: everything that was answered is there. */
static inline void start(Fixture *f)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
        Fixture *f = *state;
        char command[96];

        db_close(f->db);
        outbox_record_clear(&f->bound);
        (void) snprintf(command, sizeof command, "rm -rf %s", f->directory);
        free(f);
        return system(command);
}

static inline void on_done(DbOp *op, int r)
{
        fixture->result = r;
}

static inline int run(Fixture *f, DbOp *op)
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

static inline OutboxRecord record_of(uint64_t number, const char *queue)
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

static inline void insert(Fixture *f, const OutboxRecord *record)
{
        OutboxInsertOp o;

        outbox_insert_op_init(&o);
        o.record = *record;
        o.payload = "hello";
        assert_int_equal(run(f, &o.op), 0);
}

static inline OutboxRecord bind(OutboxRecord record, uint64_t sequence)
{
        record.state = DELIVERY_BOUND;
        record.receiver = receiver;
        record.stream = stream;
        record.sequence = sequence;
        strcpy(record.receiver_name, "1@host");
        return record;
}

static inline int save(Fixture *f, const OutboxRecord *record)
{
        OutboxSaveOp o;

        outbox_save_op_init(&o);
        o.record = *record;
        return run(f, &o.op);
}

static inline int payload(Fixture *f, uint64_t number)
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
static inline void find(Fixture *f, OutboxFindOp *o, const uint64_t *numbers, size_t n)
{
        assert_int_equal(run(f, &o->op), 0);
        assert_int_equal(o->n_records, n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(o->records[i].number, numbers[i]);
        outbox_records_free(o->records, o->n_records);
}
