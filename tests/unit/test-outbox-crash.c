/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The power goes at each write and sync of a scenario in turn, with three kinds of loss, and each write and
 * sync fails in turn. What was done with result 0 must be there at the next start, and nothing that nobody
 * asked for. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "everywhere.h"
#include "store/outbox.h"

#define N 8 /* messages */

static const sd_id128_t stream = {.bytes = {3}}, receiver = {.bytes = {4}};
static char payload[N + 1][525000];

/* How far a message got: what was promised, and the most that was asked for. */
typedef struct Progress {
        int promised, asked; /* 0 nothing, 1 inserted, 2 bound, 3 acked, 4 purged */
} Progress;

typedef struct World {
        Db *db;
        Progress messages[N + 1];
        bool stream_promised, key_promised;
        uint64_t client_id[2];
} World;

static World world;

static void on_done(DbOp *op, int result)
{
}

static void submit(DbOp *op)
{
        op->done = on_done;
        db_submit(world.db, op);
}

static void settle(void)
{
        db_kick(world.db);
        while (fake_worker_run())
                ;
        db_dispatch(world.db);
        assert_int_equal(db_pending(world.db), 0);
}

static size_t size_of(uint64_t number)
{
        return number % 3 == 0 ? sizeof payload[0] : 10 * number;
}

static OutboxRecord record_of(uint64_t number, int progress)
{
        OutboxRecord r = {
                        .number = number,
                        .id = {.bytes = {0xab, (uint8_t) number}},
                        .target = (char *) "",
                        .queue = (char *) "any//",
                        .size = size_of(number),
        };

        if (progress >= 2) {
                r.state = progress == 2 ? DELIVERY_BOUND : DELIVERY_ACKED;
                r.receiver = receiver;
                r.stream = stream;
                r.sequence = number;
                strcpy(r.receiver_name, "1@host");
        }
        if (progress == 3)
                r.settled_usec = 1000, r.reply = (void *) "fine", r.reply_size = 4;
        return r;
}

static void insert(OutboxInsertOp *o, uint64_t number, const char *key)
{
        outbox_insert_op_init(o);
        o->record = record_of(number, 1);
        o->payload = payload[number];
        o->key = key;
        world.messages[number].asked = 1;
        submit(&o->op);
}

static void save(OutboxSaveOp *o, uint64_t number, int progress)
{
        outbox_save_op_init(o);
        o->record = record_of(number, progress);
        world.messages[number].asked = progress;
        submit(&o->op);
}

static void note(const DbOp *op, uint64_t number, int progress)
{
        Progress *p = world.messages + number;

        if (op->result >= 0 && (progress == 1 || p->promised > 0))
                p->promised = progress;
}

static int open_outbox(void);

/* Batches of inserts and saves; large payloads, so that the log fills; then what only the tables can do. */
static void run_outbox(void)
{
        OutboxInsertOp inserts[N + 1];
        OutboxSaveOp saves[N + 1];

        if (open_outbox() < 0)
                return;
        for (uint64_t n = 1; n <= N - 2; n += 2) {
                insert(inserts, n, NULL);
                insert(inserts + 1, n + 1, NULL);
                settle();
                note(&inserts[0].op, n, 1);
                note(&inserts[1].op, n + 1, 1);
                save(saves, n, 2);
                settle();
                note(&saves[0].op, n, 2);
                save(saves, n, 3);
                save(saves + 1, n + 1, 2);
                settle();
                note(&saves[0].op, n, 3);
                note(&saves[1].op, n + 1, 2);
        }
        OutboxStreamOp keep;
        outbox_stream_op_init(&keep);
        keep.keep = true;
        keep.stream = stream;
        keep.receiver = receiver;
        submit(&keep.op);
        settle();
        world.stream_promised = keep.op.result >= 0;

        insert(inserts, N - 1, "key");
        settle();
        note(&inserts[0].op, N - 1, 1);
        world.key_promised = inserts[0].op.result >= 0;

        OutboxPurgeOp purge;
        outbox_purge_op_init(&purge);
        purge.number = 1;
        world.messages[1].asked = 4;
        submit(&purge.op);
        insert(inserts, N, NULL);
        settle();
        note(&purge.op, 1, 4);
        note(&inserts[0].op, N, 1);
}

static void on_client(sd_id128_t id, uint64_t last_number, uint64_t n_open, uint64_t n_dead, void *userdata)
{
}

static int on_bound(OutboxRecord *record, void *userdata)
{
        return 0;
}

static int on_queued(const char *queue, uint64_t n, void *userdata)
{
        return 0;
}

static int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        *(bool *) userdata |= sd_id128_equal(id, stream) && sd_id128_equal(to, receiver);
        return 0;
}

static int on_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        return 0;
}

static bool found_stream;

static int open_outbox(void)
{
        const OutboxLoad load = {
                        on_client, on_bound, on_queued, NULL, on_stream, on_receiver, &found_stream};
        Error error = {};
        int r;

        found_stream = false;
        r = outbox_open("/outbox", &world.db, &error);
        if (r < 0)
                assert_true(error.text[0] != '\0' || r == -ENOMEM);
        if (r >= 0)
                r = outbox_load(world.db, &load);
        return r < 0 ? r : db_start(world.db);
}

static void check_message(const OutboxRecord *r)
{
        const Progress *p = world.messages + r->number;
        int progress = r->state == DELIVERY_QUEUED ? 1 : r->state == DELIVERY_BOUND ? 2 : 3;
        OutboxRecord expected = record_of(r->number, progress);
        OutboxPayloadOp o;

        assert_in_range(progress, MAX(p->promised, 1), MIN(p->asked, 3));
        assert_true(sd_id128_equal(r->id, expected.id) && sd_id128_equal(r->receiver, expected.receiver));
        assert_int_equal(r->sequence, expected.sequence);
        assert_string_equal(r->queue, "any//");
        outbox_payload_op_init(&o);
        o.number = r->number;
        submit(&o.op);
        settle();
        assert_int_equal(o.op.result, progress == 3 ? -ENOENT : 0);
        if (progress < 3) {
                assert_int_equal(o.size, size_of(r->number));
                assert_memory_equal(o.payload, payload[r->number], o.size);
        }
        free(o.payload);
}

static void check_outbox(void)
{
        OutboxFindOp o;
        bool found[N + 1] = {};

        assert_int_equal(open_outbox(), 0);
        outbox_find_op_init(&o, OUTBOX_NEWEST, 100);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        submit(&o.op);
        settle();
        assert_int_equal(o.op.result, 0);
        for (size_t i = 0; i < o.n_records; i++) {
                assert_in_range(o.records[i].number, 1, N);
                found[o.records[i].number] = true;
                check_message(o.records + i);
        }
        outbox_records_free(o.records, o.n_records);
        for (unsigned n = 1; n <= N; n++)
                if (world.messages[n].promised > 0 && world.messages[n].asked < 4)
                        assert_true(found[n]);
        if (world.messages[1].promised == 4)
                assert_false(found[1]);
        assert_true(found_stream || (!world.stream_promised && world.messages[2].promised < 2));

        /* It works again, and the key is known if it was promised. */
        OutboxInsertOp again;
        outbox_insert_op_init(&again);
        again.record = record_of(N, 1);
        again.record.number = N + 1;
        again.record.id.bytes[0] = 0xcd;
        again.payload = payload[N];
        again.key = "key";
        submit(&again.op);
        settle();
        assert_true(again.op.result == -EEXIST || (again.op.result == 0 && !world.key_promised));
        world.db = db_close(world.db);
}

static void begin(void)
{
        world = (World){};
}

static void end(void)
{
        world.db = db_close(world.db);
}

static const Scenario scenario = {begin, run_outbox, end, check_outbox};

static void test_outbox_crashes(void **state)
{
        assert_in_range(crash_everywhere(&scenario), 100, 1000);
}

static void test_outbox_failures(void **state)
{
        fail_everywhere(&scenario);
}

/* Without room for the log everything goes to the tables; a log that is there must be readable. */
static void test_no_room_for_the_log(void **state)
{
        OutboxInsertOp o;

        fake_disk_reset();
        begin();
        assert_int_equal(open_outbox(), 0);
        world.db = db_close(world.db);
        disk_remove("/outbox.redo");
        fake_disk_fail(1, ENOSPC, false); /* the fill of a new log: the database is there already */
        assert_int_equal(open_outbox(), 0);
        assert_false(disk_exists("/outbox.redo"));
        insert(&o, 1, NULL);
        settle();
        assert_int_equal(o.op.result, 0);
        fake_disk_crash();
        world.db = db_close(world.db);
        fake_disk_power_on(FAKE_LOSE, 0);
        world.messages[1].promised = 1;
        check_outbox();
}

/* Nothing may grow: what is refused is refused whole, and there is room again later. */
static void test_full_disk(void **state)
{
        OutboxInsertOp o;

        fake_disk_reset();
        begin();
        assert_int_equal(open_outbox(), 0);
        fake_disk_fill_up(true);
        insert(&o, 3, "key"); /* for the tables, and large */
        settle();
        assert_int_equal(o.op.result, -ENOSPC);
        insert(&o, 2, NULL); /* the log has its room */
        settle();
        assert_int_equal(o.op.result, 0);
        fake_disk_fill_up(false);
        insert(&o, 3, "key");
        settle();
        assert_int_equal(o.op.result, 0);
        world.messages[2].promised = world.messages[3].promised = 1;
        world.key_promised = true;
        fake_disk_crash();
        world.db = db_close(world.db);
        fake_disk_power_on(FAKE_TEAR, 5);
        check_outbox();
}

/* The program ends between a write and its sync, so the next start sees what is not on the disk yet. It must
 * not count on it: then the power goes. */
static void test_death_before_sync(void **state)
{
        OutboxInsertOp o;
        OutboxPurgeOp purge;
        unsigned n = 0, made;

        do {
                fake_disk_reset();
                begin();
                assert_int_equal(open_outbox(), 0);
                for (uint64_t number = 1; number <= 2; number++) {
                        insert(&o, number, NULL);
                        settle();
                        note(&o.op, number, 1);
                }
                fake_disk_fail(++n, EIO, true);
                made = fake_disk_operations();
                outbox_purge_op_init(&purge); /* for the tables, and with it all that the log has */
                purge.number = 7;
                submit(&purge.op);
                settle();
                made = fake_disk_operations() - made;
                end();
                fake_disk_fail(0, 0, false);

                assert_int_equal(open_outbox(), 0);
                insert(&o, 4, NULL);
                settle();
                note(&o.op, 4, 1);
                fake_disk_crash();
                end();
                fake_disk_power_on(FAKE_LOSE, 0);
                check_outbox();
        } while (made >= n);
        assert_true(n > 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_outbox_crashes),
                        cmocka_unit_test(test_outbox_failures),
                        cmocka_unit_test(test_death_before_sync),
                        cmocka_unit_test(test_no_room_for_the_log),
                        cmocka_unit_test(test_full_disk),
        };

        for (size_t i = 0; i < ELEMENTSOF(payload); i++)
                memset(payload[i], 'a' + (int) i, sizeof payload[i]);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
