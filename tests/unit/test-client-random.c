/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receivers, discovery, programs, people and the disk do anything at any time. The counters of the client
 * stay right. When all of them behave again, every message comes to its end, and each program has heard of
 * it once. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <cmocka.h>

#include "base/random.h"
#include "client-fixture.h"
#include "client/intake/lookup.h"
#include "client/intake/purge.h"
#include "wire/receiver-json.h"

#define STEPS        1500u
#define N_RECEIVERS  5u /* a to e; e takes plain text */
#define OUTCOMES_MAX 4096u
#define IDS_MAX      4096u
#define MEND_USEC    (3600 * USEC_PER_SEC)

static uint64_t seed;
static bool mending; /* from now on everybody behaves */

static uint64_t dice(uint64_t n)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % n;
}

static bool chance(unsigned percent)
{
        return dice(100) < percent;
}

/* In place of base/random: the same seed brings the same run. */
int random_bytes(void *ret, size_t n)
{
        static uint64_t state = 1;

        for (size_t i = 0; i < n; i++) {
                state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                ((uint8_t *) ret)[i] = (uint8_t) (state >> 56);
        }
        return 0;
}

/* Discovery. */

static struct {
        bool listed, draining;
        uint16_t port; /* changes when it moves */
} receivers[N_RECEIVERS];

static char name_of(unsigned i)
{
        return (char) ('a' + i);
}

static void answer_discovery(void)
{
        static unsigned revision;
        _cleanup_(cjson_deletep) cJSON *json = cJSON_CreateObject();
        cJSON *array = cJSON_AddArrayToObject(json, "receivers");
        _cleanup_free_ char *word = str_format("x%u", ++revision);

        if (!fake_http_request())
                return;
        cJSON_AddStringToObject(json, "revision", word);
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                Address addresses[] = {{ADDRESS_TCP, "host", receivers[i].port}, {ADDRESS_TCP, "other", 1}};
                char name[] = {name_of(i), '@', 'h', '\0'}, group[] = "g";
                bool plain = i == N_RECEIVERS - 1;
                const ReceiverInfo info = {
                                .id = id_of(name_of(i)),
                                .instance = plain ? SD_ID128_NULL : id_of(name_of(i)),
                                .name = name,
                                .group = group,
                                .addresses = addresses,
                                .n_addresses = 1 + i % 2,
                                .capacity = 8,
                                .draining = receivers[i].draining,
                                .plain = plain,
                };
                if (receivers[i].listed)
                        cJSON_AddItemToArray(array, receiver_json_print(&info));
        }
        _cleanup_free_ char *text = cJSON_PrintUnformatted(json);
        fake_http_answer(fake_http_request(), 200, text);
}

static void change_receivers(void)
{
        unsigned i = (unsigned) dice(N_RECEIVERS);

        if (chance(40))
                receivers[i].listed = !receivers[i].listed;
        else if (chance(30))
                receivers[i].draining = !receivers[i].draining;
        else if (chance(30))
                receivers[i].port++;
        if (chance(15) && fake_http_request())
                fake_http_answer(fake_http_request(), -ECONNREFUSED, NULL);
        else
                answer_discovery();
}

/* Receivers: what each has ended it says again. */

static struct {
        sd_id128_t receiver, stream, message;
        uint64_t sequence;
        Outcome outcome;
} ended[OUTCOMES_MAX];
static unsigned n_ended;

static int find_ended(const Peer *p, sd_id128_t stream, uint64_t sequence)
{
        for (unsigned i = 0; i < n_ended; i++)
                if (sd_id128_equal(ended[i].receiver, p->info.id) &&
                                sd_id128_equal(ended[i].stream, stream) && ended[i].sequence == sequence)
                        return (int) i;
        return -1;
}

static void put(Connection *s, const Frame *f)
{
        Buffer b = {};

        assert_int_equal(frame_encode(&b, f), 0);
        fake_connection_send(s, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
}

static void put_answer(Connection *s, const MessageFrame *m, Outcome outcome)
{
        const AnswerFrame a = {m->stream, m->sequence, m->message, m->attempt, outcome, (uint32_t) dice(200),
                        {(const uint8_t *) "why", 3}};

        put(s, &(Frame){.type = FRAME_ANSWER, .answer = a});
}

static void put_end(Connection *s, const Peer *p, const MessageFrame *m, Outcome outcome)
{
        int i = find_ended(p, m->stream, m->sequence);

        if (i < 0) {
                assert_true(n_ended < OUTCOMES_MAX);
                i = (int) n_ended++;
                ended[i].receiver = p->info.id;
                ended[i].stream = m->stream;
                ended[i].sequence = m->sequence;
                ended[i].message = m->message;
                ended[i].outcome = outcome;
        }
        assert_true(sd_id128_equal(ended[i].message, m->message)); /* one message, one sequence */
        put_answer(s, m, ended[i].outcome);
}

static void take_message(Connection *s, const Peer *p, const MessageFrame *m)
{
        static const Outcome passing[] = {OUTCOME_FAILED, OUTCOME_BUSY, OUTCOME_WORKING};

        if (find_ended(p, m->stream, m->sequence) >= 0 || mending || chance(50))
                put_end(s, p, m, chance(80) ? OUTCOME_ACKED : OUTCOME_REJECTED);
        else if (chance(80))
                put_answer(s, m, passing[dice(ELEMENTSOF(passing))]);
}

static void take_cancel(Connection *s, const Peer *p, const CancelFrame *f)
{
        const MessageFrame m = {.stream = f->stream, .sequence = f->sequence, .message = f->message};

        if (mending || chance(50))
                put_end(s, p, &m, OUTCOME_CANCELLED);
        else if (chance(50))
                put_answer(s, &m, OUTCOME_BUSY);
}

/* True while the connection lives. */
static bool is_open(const Connection *s)
{
        for (unsigned n = 0; fake_connection(n); n++)
                if (fake_connection(n) == s)
                        return true;
        return false;
}

static void end_connection(Connection *s)
{
        fake_connection_end(s, chance(50) ? 0 : -ECONNRESET);
}

static void serve_frames(Connection *s, const Peer *p)
{
        Buffer copy = {};
        Error error = {};
        Frame f;

        /* An answer may end the connection. */
        Buffer *b = fake_connection_received(s);
        assert_int_equal(buffer_append(&copy, buffer_peek(b), buffer_size(b)), 0);
        buffer_consume(b, buffer_size(b));
        while (is_open(s) && buffer_size(&copy) > 0) {
                ssize_t n = frame_decode(
                                buffer_peek(&copy), buffer_size(&copy), FRAME_BODY_MAX, &f, NULL, &error);
                assert_true(n > 0);
                if (f.type == FRAME_MESSAGE)
                        take_message(s, p, &f.message);
                else if (f.type == FRAME_CANCEL)
                        take_cancel(s, p, &f.cancel);
                else if (f.type == FRAME_SETTLED && (f.settled.flags & SETTLED_CLOSED) && chance(50))
                        put(s, &(Frame){.type = FRAME_PRUNED, .stream = f.settled.stream});
                else if (f.type == FRAME_GOODBYE) {
                        end_connection(s);
                        break;
                }
                buffer_consume(&copy, (size_t) n);
        }
        buffer_clear(&copy);
}

static void serve_framed(Connection *s, const Peer *p)
{
        const WelcomeFrame w = {p->info.id, p->info.id, mending ? 8 : (uint32_t) dice(6),
                        mending ? STREAM_WINDOW : 2 + (uint32_t) dice(20), 10000,
                        {(const uint8_t *) "h", 1}};

        if (p->link.state == PEER_CONNECTING)
                put(s, &(Frame){.type = FRAME_WELCOME, .welcome = w});
        if (is_open(s))
                serve_frames(s, p);
        if (!is_open(s) || mending)
                return;
        if (chance(5))
                put(s, &(Frame){.type = FRAME_CREDIT, .credit = (uint32_t) dice(8)});
        else if (chance(3))
                put(s, &(Frame){.type = FRAME_GOODBYE,
                                       .reason = chance(50) ? GOODBYE_RESTARTING : GOODBYE_STOPPING});
        else if (chance(2))
                put(s, &(Frame){.type = FRAME_ERROR, .text = {(const uint8_t *) "no", 2}});
}

static void serve_plain(Connection *s)
{
        if (mending || chance(50))
                fake_connection_send(s, "ACK", 3);
        else if (chance(30))
                fake_connection_send(s, "NAK", 3);
}

static void serve_connections(void)
{
        Connection *all[64];
        unsigned n = 0;

        run(); /* those that cannot be opened are gone */
        for (; n < ELEMENTSOF(all) && fake_connection(n); n++)
                all[n] = fake_connection(n);
        for (unsigned i = 0; i < n; i++) {
                Connection *s = all[i];
                const Peer *p;

                if (!is_open(s) || !fake_connection_address(s) || (!mending && chance(40)))
                        continue;
                p = fake_connection_owner(s);
                if (!mending && chance(8))
                        end_connection(s);
                else if (fake_connection_is_connecting(s))
                        fake_connection_accept(s);
                else if (p->plain)
                        serve_plain(s);
                else
                        serve_framed(s, p);
                run();
        }
}

/* Messages. */

static sd_id128_t ids[IDS_MAX];
static unsigned n_ids;

static void on_accepted(Message *m, int r, uint64_t number, void *userdata)
{
        if (m && n_ids < IDS_MAX)
                ids[n_ids++] = m->record.id;
}

static void send_one(void)
{
        static const SelectorMode modes[] = {
                        SELECTOR_TO, SELECTOR_ANY, SELECTOR_ALL, SELECTOR_QUORUM, SELECTOR_KEY};
        static char payload[12000];
        static const size_t sizes[] = {0, 1, 100, 5000, sizeof payload};
        const char name[] = {name_of((unsigned) dice(N_RECEIVERS)), '\0'};
        Submission s = submission(modes[dice(ELEMENTSOF(modes))], "", "");
        Error error = {};

        s.payload = payload;
        s.size = sizes[dice(ELEMENTSOF(sizes))];
        s.target = s.mode == SELECTOR_TO ? name : "";
        s.plain = s.mode != SELECTOR_TO && chance(50);
        s.quorum = s.mode == SELECTOR_QUORUM ? 1 + (unsigned) dice(3) : 0;
        s.follow = s.mode == SELECTOR_ALL && chance(50);
        s.key = s.mode == SELECTOR_KEY ? (chance(50) ? "k" : "l") : NULL;
        s.policy.priority = (unsigned) dice(PRIORITY_MAX + 1);
        s.transient = chance(15);
        s.quiet = chance(20);
        if (chance(30))
                s.policy.max_attempts = 1 + dice(3);
        if (!s.transient && chance(10))
                s.delay_usec = (1 + dice(20)) * USEC_PER_SEC;
        if (!s.transient && chance(10))
                s.policy.deadline_usec = now_usec(CLOCK_REALTIME) + (21 + dice(60)) * USEC_PER_SEC;
        if (!s.transient && chance(10))
                s.idempotency_key = chance(50) ? "x" : "y";
        (void) client_submit(c, &s, on_accepted, NULL, &error);
}

static void on_purged(int r, void *userdata)
{
}

static void on_looked_up(Message *m, int r, void *userdata)
{
        if (!m || c->stopping)
                return;
        switch (dice(4)) {
        case 0:
                (void) message_cancel(m);
                break;
        case 1:
                message_give_up(m, "no time");
                break;
        case 2:
                (void) message_revive(m);
                break;
        default:
                (void) message_purge(m, on_purged, NULL);
        }
}

static void change_one(void)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (n_ids > 0)
                message_look_up(c, sd_id128_to_uuid_string(ids[dice(n_ids)], id), on_looked_up, NULL);
}

/* A program that sends in bulk. */

static struct {
        Connection *connection;
        uint64_t n_submitted, n_accepted, n_refused, n_settled;
        char told[1024]; /* by number: 'a' accepted, 'r' refused, 's' settled */
} program;

static void open_program(void)
{
        BulkOptions options = {
                        .submission.mode = SELECTOR_ANY, .submission.target = "", .settlements = true};
        Error error = {};

        memset(&program, 0, sizeof program);
        options.submission.policy = POLICY_ALL_OPEN;
        options.submission.transient = chance(30);
        assert_int_equal(bulk_open(c, -1, &options, &error), 0);
        program.connection = fake_connection(0);
}

static void tell(uint64_t number, char before, char word)
{
        assert_true(number >= 1 && number <= program.n_submitted);
        assert_int_equal(program.told[number - 1], before);
        program.told[number - 1] = word;
}

static void read_program(void)
{
        Buffer *b = fake_connection_received(program.connection);
        Error error = {};
        Frame f;
        ssize_t n;

        while ((n = frame_decode(buffer_peek(b), buffer_size(b), FRAME_BODY_MAX, &f, NULL, &error)) > 0) {
                if (f.type == FRAME_ACCEPTED)
                        for (uint64_t i = 0; i < f.accepted.ids.size / 16; i++)
                                tell(f.accepted.first + i, '\0', 'a');
                else if (f.type == FRAME_REFUSED)
                        tell(f.refused.number, '\0', 'r');
                else if (f.type == FRAME_SETTLEMENT)
                        tell(f.settlement.number, 'a', 's');
                else
                        assert_int_equal(f.type, FRAME_CREDIT);
                buffer_consume(b, (size_t) n);
        }
        assert_true(n == 0);
}

static void serve_program(void)
{
        if (!program.connection || !is_open(program.connection)) {
                open_program();
                return;
        }
        read_program();
        if (mending || fake_connection_is_paused(program.connection))
                return;
        if (chance(2)) {
                fake_connection_end(program.connection, 0);
                program.connection = NULL;
                return;
        }
        for (uint64_t n = dice(4); n > 0 && program.n_submitted < sizeof program.told; n--) {
                program.n_submitted++;
                put(program.connection, &(Frame){.type = FRAME_SUBMIT,
                                                        .submit.payload = {(const uint8_t *) "p", 1}});
        }
}

/* What must be true at any time. */

static void check_peer(const Peer *p)
{
        size_t n_bound = 0, n_in_flight = 0, n_ready = 0;
        const Message *m;

        DL_FOREACH2(p->bound, m, link.next)
        {
                assert_ptr_equal(m->link.peer, p);
                n_bound++;
                n_in_flight += m->link.in_flight;
                n_ready += m->link.ready;
        }
        assert_int_equal(p->n_bound, n_bound);
        assert_int_equal(p->link.n_in_flight, n_in_flight);
        DL_FOREACH2(p->ready, m, link.ready_next)
        {
                assert_true(m->link.ready);
                assert_int_equal(m->record.state, DELIVERY_BOUND);
                n_ready--;
        }
        assert_int_equal(n_ready, 0);
}

static void check_client(void)
{
        size_t n_unassigned = 0, n_bytes = 0, n_recent = 0;
        IndexCursor cursor = {};
        const Message *m;
        IndexItem *i;

        for (const Peer *p = c->peers.by_id; p; p = p->hh.next)
                check_peer(p);
        for (const Queue *q = c->queues.by_text; q; q = q->hh.next) {
                size_t n = 0;
                DL_FOREACH2(q->queued, m, queued.next)
                {
                        assert_true(m->queued.on && m->queue == q && !m->link.peer);
                        n++;
                }
                assert_int_equal(q->n_queued, n);
                n_unassigned += n;
        }
        assert_int_equal(c->queues.n_unassigned, n_unassigned);
        while ((i = index_each(&c->messages.index, &cursor))) {
                m = CONTAINER_OF(i, Message, by_key);
                n_bytes += m->transient ? m->record.size : 0;
                n_recent += m->recent;
        }
        assert_int_equal(c->transient.n_bytes, n_bytes);
        assert_int_equal(c->messages.n_recent, n_recent);
}

static void restart(bool crash)
{
        program.connection = NULL;
        if (crash)
                client_crash();
        else {
                client_end();
                client_begin();
        }
}

static void step(void)
{
        uint64_t what = dice(100);

        if (what < 30)
                send_one();
        else if (what < 40)
                change_one();
        else if (what < 75)
                serve_connections();
        else if (what < 85)
                serve_program();
        else if (what < 91)
                change_receivers();
        else if (what < 92)
                fake_disk_fail(1 + (unsigned) dice(30), chance(50) ? ENOSPC : EIO, true);
        else if (what < 95)
                fake_disk_fail(0, 0, false);
        else if (what < 96)
                fake_connection_fail(ECONNREFUSED, chance(50));
        else
                pass(dice((chance(10) ? 10 : 2) * USEC_PER_SEC));
        if (chance(70))
                run();
        fake_connection_set_possible(chance(95));
}

static void report_open(void)
{
        IndexCursor cursor = {};
        IndexItem *i;

        for (const Peer *p = c->peers.by_id; p; p = p->hh.next)
                print_message("%s: plain %d, link %d, connection %d, bound %zu, ready %d, in flight %u of "
                              "%u, "
                              "full %d, text %d\n",
                                p->info.name, p->info.plain, p->link.state, !!p->link.connection, p->n_bound,
                                !!p->ready, p->link.n_in_flight, p->link.credit, p->full, !!p->plain);

        while ((i = index_each(&c->messages.index, &cursor))) {
                const Message *m = CONTAINER_OF(i, Message, by_key);
                if (!delivery_state_is_final(m->record.state))
                        print_message("open: %" PRIu64 " member %" PRIu32
                                      " for %s: %s, pins %u, saving %d\n",
                                        m->record.number, m->record.member, m->record.queue,
                                        delivery_state_to_string(m->record.state), m->pins, m->save.running);
        }
}

/* From now on all behave; after an hour everything has ended. */
static void mend(void)
{
        mending = true;
        fake_disk_fail(0, 0, false);
        fake_connection_fail(0, false);
        fake_connection_set_possible(true);
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                receivers[i].listed = true;
                receivers[i].draining = false;
        }
        for (uint64_t t = 0; t < MEND_USEC && c->messages.n_open > 0; t += USEC_PER_SEC) {
                answer_discovery();
                serve_connections();
                pass(USEC_PER_SEC);
        }
        pass(10 * USEC_PER_SEC);
        serve_program();
        check_client();
        if (c->messages.n_open > 0)
                report_open();
        assert_int_equal(c->messages.n_open, 0);
        for (uint64_t i = 0; i < program.n_submitted; i++)
                assert_true(program.told[i] == 'r' || program.told[i] == 's');
}

static void live(uint64_t s, unsigned crashes)
{
        seed = s * UINT64_C(0x9e3779b97f4a7c15);
        mending = false;
        n_ids = n_ended = 0;
        program.connection = NULL;
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                receivers[i].listed = receivers[i].draining = false;
                receivers[i].port = (uint16_t) (100 * (i + 1));
        }
        for (unsigned i = 0; i < STEPS; i++) {
                step();
                check_client();
                if (crashes > 0 && dice(STEPS / crashes) == 0) {
                        fake_disk_fail(0, 0, false);
                        restart(chance(50));
                }
        }
        mend();
        uint64_t n_dead = c->messages.n_dead;
        restart(false);
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(c->messages.n_dead, n_dead);
}

static void live_all(void **state, unsigned crashes)
{
        const char *word = getenv("SEED"); /* of one run, to look into it */
        uint64_t first = word ? strtoul(word, NULL, 10) : 1, last_seed = word ? first : 6;

        for (uint64_t s = first; s <= last_seed; s++) {
                client_teardown(state);
                client_setup(state);
                live(s, crashes);
        }
}

static void test_anything(void **state)
{
        live_all(state, 0);
}

static void test_anything_with_crashes(void **state)
{
        live_all(state, 8);
}

static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_anything, client_setup, client_teardown),
                cmocka_unit_test_setup_teardown(test_anything_with_crashes, client_setup, client_teardown),
};

int main(void)
{
        return cmocka_run_group_tests(tests, NULL, NULL);
}
