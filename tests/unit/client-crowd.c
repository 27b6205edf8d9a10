/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "client-crowd.h"
#include "wire/receiver-json.h"

#define OUTCOMES_MAX 4096u

static bool mending; /* from now on everybody behaves */
static uint64_t seed, client_random;

uint64_t dice(uint64_t n)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % n;
}

bool chance(unsigned percent)
{
        return dice(100) < percent;
}

/* In place of base/random: the same seed brings the same run. */
int random_bytes(void *ret, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                client_random = client_random * UINT64_C(6364136223846793005) +
                                UINT64_C(1442695040888963407);
                ((uint8_t *) ret)[i] = (uint8_t) (client_random >> 56);
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

void answer_discovery(void)
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

void change_receivers(void)
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

void serve_connections(void)
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

void serve_program(void)
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

void program_forget(void)
{
        program.connection = NULL;
}

void program_check_all_told(void)
{
        for (uint64_t i = 0; i < program.n_submitted; i++)
                assert_true(program.told[i] == 'r' || program.told[i] == 's');
}

void crowd_begin(uint64_t number)
{
        seed = number * UINT64_C(0x9e3779b97f4a7c15);
        client_random = number;
        mending = false;
        n_ended = 0;
        memset(&program, 0, sizeof program);
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                receivers[i].listed = receivers[i].draining = false;
                receivers[i].port = (uint16_t) (100 * (i + 1));
        }
}

void crowd_mend(void)
{
        mending = true;
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                receivers[i].listed = true;
                receivers[i].draining = false;
        }
}
