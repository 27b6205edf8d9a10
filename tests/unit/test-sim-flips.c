/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bits flip at random in the files of an outbox, and of a receiver's records, after a kill, a loss of power
 * or an orderly end. Every start then finds all that was promised, with its content, or it says that
 * something is lost. SEED= and ROUNDS= repeat or prolong it. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "store/dedup.h"
#include "store/outbox.h"
#include "world/disk.h"
#include "world/memory.h"
#include "world/process.h"

#define DIRECTORY    "/m0/c"
#define PATH         DIRECTORY "/db"
#define MESSAGES_MAX 60000u
#define PAYLOAD_MAX_ 6000u

static Machine *machine;
static Process *process;
static Db *database;
static const char *flipped; /* in which file */

/* What callers were told. */
typedef struct Promise {
        bool made;
        bool acked; /* and so is this */
} Promise;
static Promise promises[MESSAGES_MAX];
static bool found[MESSAGES_MAX];
static unsigned last_number, first_number; /* of what the files now hold */

static struct {
        unsigned rounds, reported, refused, minor, promised;
} total;

/* The end of a start. */
static struct {
        bool opened, reported;
        int error;
        char text[2 * ERROR_MAX];
} start;

static unsigned draw(unsigned n)
{
        return (unsigned) world_random(n);
}

static void payload_of(unsigned number, uint8_t *ret, size_t *ret_size)
{
        *ret_size = number % 7 == 0 ? PAYLOAD_MAX_ : 50 + number % 500;
        for (size_t i = 0; i < *ret_size; i++)
                ret[i] = (uint8_t) (number * 31 + i * 7 + i / 256);
}

static sd_id128_t id_of(unsigned number)
{
        sd_id128_t id = {.bytes = {1}};

        memcpy(id.bytes + 8, &number, sizeof number);
        return id;
}

/* In the process. */

static void on_done(DbOp *op, int result)
{
}

static int do_op(DbOp *op)
{
        op->done = on_done;
        db_submit(database, op);
        db_kick(database);
        while (db_pending(database) > 0) {
                thread_pause(50);
                db_dispatch(database);
        }
        return op->result;
}

/* The test cannot fail on the stack of a process. */
static char complaint[2048];

static void complain(const char *what, unsigned number)
{
        if (!complaint[0])
                (void) snprintf(complaint, sizeof complaint,
                                "round %u: %s %u; a bit was flipped in %s, and nobody said so (%s)",
                                total.rounds, what, number, flipped ? flipped : "nothing", start.text);
}

/* An error is a report, too: the daemon then ends with a message. */
static bool says_it(int r)
{
        if (r == -EUCLEAN)
                start.reported = true;
        return r == -EUCLEAN;
}

static void note_damage(void)
{
        const Damage *d = db_damage(database);

        start.opened = true;
        start.reported = d->found || d->minor[0];
        total.minor += d->minor[0] != '\0';
        (void) snprintf(start.text, sizeof start.text, "%s%s", d->text, d->minor);
}

/* The outbox. */

static void on_client(sd_id128_t id, uint64_t number, uint64_t n_open, uint64_t n_dead, void *userdata)
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

static int on_whole(OutboxRecord *r, unsigned n_acked, unsigned n_failed, unsigned n, void *userdata)
{
        return 0;
}

static int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        return 0;
}

static int on_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        return 0;
}

static bool payload_is_there(unsigned number)
{
        static uint8_t expected[PAYLOAD_MAX_];
        OutboxPayloadOp o;
        size_t size;
        int r;

        payload_of(number, expected, &size);
        outbox_payload_op_init(&o);
        o.number = number;
        r = do_op(&o.op);
        bool same = r >= 0 && o.size == size && memcmp(o.payload, expected, size) == 0;
        free(o.payload);
        return same || says_it(r);
}

static void check_record(const OutboxRecord *record)
{
        const unsigned number = (unsigned) record->number;

        if (number > last_number || number < first_number)
                complain("there is a message that nobody sent:", number);
        found[number] = true;
        if (!sd_id128_equal(record->id, id_of(number)))
                complain("there is another id in message", number);
        if (promises[number].acked && record->state != DELIVERY_ACKED && !start.reported)
                complain("an ack is lost: of message", number);
        if (record->state == DELIVERY_QUEUED && !payload_is_there(number))
                complain("there is another payload in message", number);
}

static void check_outbox(void)
{
        OutboxFindOp o;
        int r;

        memset(found, 0, sizeof found);
        outbox_find_op_init(&o, OUTBOX_NEWEST, MESSAGES_MAX);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        r = do_op(&o.op);
        for (size_t i = 0; i < o.n_records && r >= 0; i++)
                check_record(o.records + i);
        outbox_records_free(o.records, o.n_records);
        if (says_it(r))
                return;
        if (r < 0)
                complain("cannot be read:", (unsigned) -r);
        for (unsigned i = first_number; i <= last_number; i++)
                if (promises[i].made && !found[i] && !start.reported)
                        complain("lost: message", i);
}

static void send_one(void)
{
        static uint8_t payload[PAYLOAD_MAX_];
        const unsigned number = ++last_number;
        OutboxInsertOp o;
        OutboxSaveOp save;
        char key[16];
        size_t size;

        payload_of(number, payload, &size);
        (void) snprintf(key, sizeof key, "%u", number);
        outbox_insert_op_init(&o);
        o.record = (OutboxRecord){
                        .number = number,
                        .id = id_of(number),
                        .target = (char *) "",
                        .queue = (char *) "any//",
                        .size = size,
        };
        o.payload = payload;
        o.key = draw(8) == 0 ? key : NULL;
        promises[number].made = do_op(&o.op) >= 0;
        total.promised += promises[number].made;
        if (!promises[number].made || draw(3) > 0)
                return;
        outbox_save_op_init(&save);
        save.record = o.record;
        save.record.state = DELIVERY_ACKED;
        promises[number].acked = do_op(&save.op) >= 0;
}

static int open_outbox(Error *error)
{
        const OutboxLoad load = {on_client, on_bound, on_queued, on_whole, on_stream, on_receiver, NULL};
        int r;

        r = outbox_open(PATH, &database, error);
        if (r >= 0)
                note_damage();
        if (r >= 0)
                r = outbox_load(database, &load);
        return r;
}

/* The records of a receiver. */

#define STREAM ((sd_id128_t){.bytes = {9}})

static int on_settled(sd_id128_t stream, const SequenceSet *set, void *userdata)
{
        return 0;
}

static int on_record(const DedupRecord *record, void *userdata)
{
        const unsigned number = (unsigned) record->sequence;

        if (number > last_number || number < first_number ||
                        !sd_id128_equal(record->message, id_of(number)) ||
                        record->attempt != number % 5 + 1 || record->outcome != OUTCOME_ACKED)
                complain("there is another record of message", number);
        found[number] = true;
        return 0;
}

static void check_records(void)
{
        for (unsigned i = first_number; i <= last_number; i++)
                if (promises[i].made && !found[i] && !start.reported)
                        complain("lost: the record of message", i);
}

static void record_one(void)
{
        static uint8_t reply[PAYLOAD_MAX_];
        const unsigned number = ++last_number;
        DedupRecordOp o;

        dedup_record_op_init(&o);
        o.record = (DedupRecord){STREAM, number, id_of(number), number % 5 + 1, OUTCOME_ACKED};
        payload_of(number, reply, &o.reply_size);
        o.reply = reply;
        promises[number].made = do_op(&o.op) >= 0;
        total.promised += promises[number].made;
}

static int open_records(Error *error)
{
        const DedupLoad load = {on_settled, on_record, NULL};
        int r;

        memset(found, 0, sizeof found);
        r = dedup_open(PATH, 0, &database, error);
        if (r >= 0)
                note_damage();
        if (r >= 0)
                r = dedup_load(database, &load);
        return r;
}

typedef struct Kind {
        int (*open)(Error *error);
        void (*check)(void);
        void (*add)(void);
} Kind;

static const Kind *kind;

static int run_store(void *userdata)
{
        Error error = {};
        int r;

        start.opened = start.reported = false;
        start.text[0] = '\0';
        database = NULL;
        r = kind->open(&error);
        start.error = r;
        if (error.text[0])
                (void) snprintf(start.text, sizeof start.text, "%s", error.text);
        if (r >= 0)
                r = db_start(database);
        if (r >= 0) {
                kind->check();
                for (unsigned n = *(unsigned *) userdata; n > 0; n--)
                        kind->add();
        }
        db_close(database);
        return r;
}

/* Outside. */

static bool has_ended(void *userdata)
{
        return !process_is_up(process);
}

static void begin_anew(void)
{
        disk_remove_all("/m0");
        first_number = last_number + 1;
}

/* What is gone was reported: it is promised no more. */
static void forgive(void)
{
        for (unsigned i = first_number; i <= last_number; i++) {
                promises[i].made = promises[i].made && found[i];
                promises[i].acked = false;
        }
}

static void run(unsigned n_messages, uint64_t usec)
{
        static unsigned n;

        n = n_messages;
        process_start(process, run_store, &n);
        world_run(world_now() + usec, has_ended, NULL);
        if (complaint[0])
                fail_msg("%s", complaint);
}

/* The end of a life; then bits flip. */
static void damage(void)
{
        static const char *const suffixes[] = {"", ".redo", "db", "-wal", ".sums"};
        const unsigned n_bits = draw(5) == 0 ? 1 + draw(4) : 1;

        if (draw(3) > 0)
                process_kill(process);
        else
                world_run(world_now() + 3600 * USEC_PER_SEC, has_ended, NULL);
        if (draw(4) == 0)
                disk_lose_power(machine, (FakeLoss) draw(_FAKE_LOSS_MAX));
        flipped = NULL;
        for (unsigned i = 0; i < n_bits; i++)
                flipped = disk_flip_bit(DIRECTORY, suffixes[draw(ELEMENTSOF(suffixes))]) ?: flipped;
}

static void one_round(void)
{
        total.rounds++;
        if (last_number > MESSAGES_MAX - 1000)
                fail_msg("too many messages");
        run(1 + draw(40), draw(4) == 0 ? 3600 * USEC_PER_SEC : world_random(100 * USEC_PER_MSEC));
        damage();
        /* Nothing is added until it is clear what this start has found. */
        run(0, 3600 * USEC_PER_SEC);
        assert_false(process_is_up(process));
        total.reported += start.reported || start.error < 0;
        if (start.error < 0) {
                if (start.error != -EUCLEAN && start.error != -EPROTO)
                        fail_msg("%s (%d)", start.text, start.error);
                total.refused++;
                begin_anew();
        } else if (start.reported)
                forgive();
        if (draw(40) == 0)
                begin_anew();
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
        const char *text = getenv(name);

        return text ? (unsigned) strtoul(text, NULL, 10) : otherwise;
}

static void flip(const Kind *k)
{
        const unsigned n = from_environment("ROUNDS", 400);

        world_begin();
        for (unsigned i = from_environment("SEED", 1); i > 0; i--)
                (void) world_random(1); /* another place in the series */
        memory_begin();
        machine = machine_new("m0");
        process = process_new(machine, "c");
        disk_set_speed(machine, 1, 20, 100, 2000);
        memset(promises, 0, sizeof promises);
        memset(&total, 0, sizeof total);
        kind = k;
        last_number = 0;
        first_number = 1;
        for (unsigned i = 0; i < n; i++)
                one_round();
        world_end();
        print_message("%u rounds, %u promises; loss reported %u times, by a refusal to start %u times; %u "
                      "torn "
                      "ends\n",
                        total.rounds, total.promised, total.reported, total.refused, total.minor);
        /* It would be easy to report everything, or to refuse every start. */
        assert_in_range(total.reported, n / 10, n * 2 / 3);
        assert_in_range(total.refused, 1, n / 3);
        assert_in_range(total.promised, 3 * n, MESSAGES_MAX);
}

static void test_outbox(void **state)
{
        flip(&(Kind){open_outbox, check_outbox, send_one});
}

static void test_records(void **state)
{
        flip(&(Kind){open_records, check_records, record_one});
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_outbox),
                        cmocka_unit_test(test_records),
        };

        return cmocka_run_group_tests_name("sim-flips", tests, NULL, NULL);
}
