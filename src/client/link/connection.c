/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/connection.h"

#include <errno.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "client/link/liveness.h"
#include "client/link/pause.h"
#include "client/link/window.h"
#include "client/state/message.h"
#include "client/state/peer.h"
#include "client/state/queue.h"
#include "model/backoff.h"

#define ANSWER_BODY_MAX       (REPLY_MAX + 1024u)
#define ATTRIBUTES_OF_MESSAGE (2 * ATTRIBUTE_U32_SIZE)

static int try_address(Peer *p, size_t address);

static void leave_connected(Peer *p)
{
        if (p->link.state == PEER_CONNECTED)
                DL_DELETE2(p->client->peers.connected, p, link.prev, link.next);
        pause_forget(p);
        liveness_stop(p);
        p->link.state = PEER_IDLE;
        p->link.leaving = p->link.restarting = p->link.parting = false;
        p->link.credit = 0;
}

void peer_disconnect(Peer *p)
{
        if (p->link.connection) {
                p->link.taken = connection_output(p->link.connection)->consumed;
                p->client->peers.n_open--;
        }
        p->link.connection = connection_free(p->link.connection);
        timer_disarm(&p->timer);
        loop_cancel(p->client->loop, &p->link.down);
        leave_connected(p);
}

void peer_connection_failed(Peer *p)
{
        uint64_t random = random_u64();

        p->link.failures++;
        (void) timer_arm_in(&p->timer,
                        backoff_delay(&BACKOFF_REFUSED, MAX(p->link.failures, p->link.fruitless), random));
}

/* A receiver that greets, and ends each connection soon, refuses, too. */
static void note_end(Peer *p)
{
        const uint64_t lived = loop_now(p->client->loop, CLOCK_BOOTTIME) - p->link.since;

        if (p->link.fruitful || lived >= BACKOFF_REFUSED.max_usec)
                p->link.fruitless = 0;
        else
                p->link.fruitless++;
}

void peer_reset_failures(Peer *p)
{
        p->link.failures = 0;
        p->link.missed = false;
        timer_disarm(&p->timer);
}

void peer_set_problem(Peer *p, int error, const char *closed)
{
        char text[ADDRESS_STRING_MAX];

        free(p->link.problem);
        p->link.problem = str_format("%s: %s",
                        p->link.address < p->info.n_addresses
                                        ? address_format(p->info.addresses + p->link.address, text)
                                        : "no address",
                        error == -EMFILE ? "too many connections are open (LimitNOFILE=)"
                        : error < 0      ? strerror(-error)
                                         : closed);
}

/* Another receiver that is connected may get the messages of the queue. */
static bool has_another(const Queue *q, const Peer *p)
{
        const Peer *other;

        DL_FOREACH2(q->client->peers.connected, other, link.next)
        {
                if (other != p && peer_may_be_chosen(other) && selector_matches(&q->selector, &other->info))
                        return true;
        }
        return false;
}

/* Messages wait for this receiver, and for no other one that is connected. */
static bool is_wanted(const Peer *p)
{
        const Queue *q = queue_of_receiver(p->client, p->info.id), *named = queue_of_holder(p);

        if (p->n_bound > 0 || p->keys || (q && queue_is_waiting(q)) || (named && queue_is_waiting(named)))
                return true;
        for (q = peer_may_be_chosen(p) ? p->client->queues.any : NULL; q; q = q->next)
                if (queue_is_waiting(q) && selector_matches(&q->selector, &p->info) && !has_another(q, p))
                        return true;
        return false;
}

/* What this host lacks says nothing about the receiver. */
static bool is_own_lack(int error)
{
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

/* Closes a connection that nobody needs now, since `p` needs one. Only a little later: this may be a
 * callback of that connection. Then the first that waits for one gets it. */
static void make_room(Peer *p)
{
        Peer *idle;

        p->link.crowded = is_wanted(p);
        if (!p->link.crowded)
                return;
        DL_FOREACH2(p->client->peers.connected, idle, link.next)
        {
                if (idle->link.parting || is_wanted(idle) ||
                                connection_output_size(idle->link.connection) > 0)
                        continue;
                log_debug("Closing the idle connection to %s, for one to %s", peer_name(idle), peer_name(p));
                idle->link.parting = true;
                loop_defer(p->client->loop, &idle->link.down);
                return;
        }
}

int peer_open(Peer *p, size_t address, const ConnectionCallbacks *callbacks)
{
        uint64_t timeout = p->client->config.policy.ack_timeout_usec;
        int r;

        p->link.address = address;
        if (p->client->peers.n_open >= p->client->peers.n_max) {
                make_room(p);
                return -EMFILE;
        }
        p->link.crowded = false;
        r = connection_open(p->client->loop, p->info.addresses + address, timeout, callbacks, p,
                        &p->link.connection);
        if (r < 0)
                return r;
        p->client->peers.n_open++;
        p->link.state = PEER_CONNECTING;
        (void) timer_arm_in(&p->timer, timeout);
        return 0;
}

static void on_ended(Connection *s, int error, void *userdata)
{
        Peer *p = userdata;
        bool was_connected = p->link.state == PEER_CONNECTED, back_at_once = p->link.restarting;

        peer_set_problem(p, error, "closed by the receiver");
        log_debug("Connection to %s ended: %s", peer_name(p), p->link.problem ?: "");
        peer_disconnect(p);
        if (!was_connected) {
                p->link.lacking = p->link.lacking || is_own_lack(error);
                if (error == -EMFILE || error == -ENFILE)
                        make_room(p);
                if (try_address(p, p->link.address + 1) < 0)
                        p->client->link.down(p);
                return;
        }
        note_end(p);
        if (back_at_once && p->link.fruitless <= 1)
                (void) timer_arm_in(&p->timer, 0);
        else
                peer_connection_failed(p);
        p->client->link.down(p);
}

static void fail(Peer *p, const char *reason)
{
        log_warning("Receiver %s: %s", peer_name(p), reason);
        on_ended(p->link.connection, -EPROTO, p);
}

static int on_welcome(Peer *p, const WelcomeFrame *w, Error *error)
{
        Client *c = p->client;

        if (!sd_id128_equal(w->receiver, p->info.id) || p->link.state != PEER_CONNECTING)
                return error_set(error, -EPROTO, "another receiver answers, or WELCOME came twice");
        peer_reset_failures(p);
        p->link.state = PEER_CONNECTED;
        p->link.fruitful = false;
        p->link.since = loop_now(c->loop, CLOCK_BOOTTIME);
        p->link.credit = w->credit;
        p->link.window = MAX(w->window, 1u);
        p->link.max_payload = w->max_payload;
        DL_APPEND2(c->peers.connected, p, link.prev, link.next);
        log_debug("Connected to %s (credit %" PRIu32 ")", peer_name(p), w->credit);
        windows_announce(p, true);
        c->link.up(p);
        return 0;
}

static void on_answer(Peer *p, const AnswerFrame *a)
{
        Message *m = peer_find_message(p, a->message);

        /* The answer is late, or belongs to a binding that was given up. */
        if (!m || !sd_id128_equal(m->record.stream, a->stream) || m->record.sequence != a->sequence)
                return;
        bool passing = a->outcome == OUTCOME_FAILED || a->outcome == OUTCOME_BUSY;
        if (passing && a->attempt != m->record.attempts + 1)
                return;
        p->link.fruitful = p->link.fruitful || (a->outcome != OUTCOME_BUSY && a->outcome != OUTCOME_WORKING);
        p->client->link.answer(m, a);
}

/* Answers GOODBYE. The client writes no message after this answer. When the receiver reads the answer, it
 * has all messages, and it reports for each whether it has started it. */
static void on_goodbye(Peer *p, const Frame *f)
{
        p->link.leaving = true;
        p->link.restarting = f->reason == GOODBYE_RESTARTING;
        (void) !frame_encode(connection_output(p->link.connection), f);
        connection_flush(p->link.connection);
        p->client->link.leaving(p);
}

/* A negative return ends the connection. */
static int on_frame(Peer *p, const Frame *f, Error *error)
{
        if (p->link.state != PEER_CONNECTED && f->type != FRAME_WELCOME && f->type != FRAME_ERROR)
                return error_set(error, -EPROTO, "answers before WELCOME");
        switch (f->type) {
        case FRAME_WELCOME:
                return on_welcome(p, &f->welcome, error);
        case FRAME_ANSWER:
                on_answer(p, &f->answer);
                return 0;
        case FRAME_CREDIT:
                p->link.credit = f->credit;
                pause_offered(p);
                p->client->link.credit(p);
                return 0; /* on_readable() tells that there is room */
        case FRAME_PRUNED:
                window_pruned(p, f->stream);
                return 0;
        case FRAME_GOODBYE:
                on_goodbye(p, f);
                return 0;
        case FRAME_PONG:
                return 0;
        case FRAME_ERROR: {
                _cleanup_free_ char *text = str_printable(f->text.data, f->text.size, ERROR_TEXT_MAX);
                return error_set(error, -EPROTO, "%s", text ?: "ERROR");
        }
        default:
                return error_set(error, -EPROTO, "a frame that only clients send");
        }
}

static void on_readable(Connection *s, void *userdata)
{
        Peer *p = userdata;
        Buffer *in = connection_input(s);
        Error error = {};
        Frame f;

        liveness_heard(p);
        for (;;) {
                ssize_t n = frame_decode(
                                buffer_peek(in), buffer_size(in), ANSWER_BODY_MAX, &f, NULL, &error);

                if (n == 0)
                        break;
                if (n < 0 || on_frame(p, &f, &error) < 0) {
                        fail(p, error.text);
                        return;
                }
                buffer_consume(in, (size_t) n);
        }
        if (p->link.state == PEER_CONNECTED)
                p->client->link.room(p); /* answers make room */
}

static void on_connected(Connection *s, void *userdata)
{
        Peer *p = userdata;
        Frame f = {
                        .type = FRAME_HELLO,
                        .hello = {p->info.id, p->client->id,
                                        {(const uint8_t *) p->client->host, strlen(p->client->host)}},
        };

        (void) !frame_encode(connection_output(s), &f);
        connection_flush(s);
}

static void on_drained(Connection *s, void *userdata)
{
        Peer *p = userdata;

        if (p->link.state == PEER_CONNECTED)
                p->client->link.written(p);
}

static const ConnectionCallbacks callbacks = {
                .connected = on_connected,
                .readable = on_readable,
                .ended = on_ended,
                .drained = on_drained,
};

/* Why this client cannot even try it; NULL: it can. */
static const char *find_obstacle(const Peer *p, const Address *a)
{
        if (a->kind == ADDRESS_UNIX && host_mark_differs(&p->client->here, &p->info.host))
                return "a socket of another host";
        return connection_is_possible(a) ? NULL : "there is no such file on this host";
}

/* Tries the addresses from `address` on. Returns -EHOSTUNREACH if none is left; then a pause begins. */
static int try_address(Peer *p, size_t address)
{
        for (; address < p->info.n_addresses; address++) {
                const char *obstacle = find_obstacle(p, p->info.addresses + address);
                int r = obstacle ? 0 : peer_open(p, address, &callbacks);

                if (!obstacle && r >= 0)
                        return 0;
                p->link.address = address;
                peer_set_problem(p, r, obstacle);
                p->link.lacking = p->link.lacking || is_own_lack(r) || r == -EAGAIN; /* no thread */
        }
        p->link.address = address;
        p->link.state = PEER_IDLE;
        p->link.missed = !p->link.lacking;
        peer_connection_failed(p);
        return -EHOSTUNREACH;
}

static void part(Peer *p)
{
        Peer *next = p->client->peers.by_id;

        if (is_wanted(p)) /* since then */
                return;
        peer_disconnect(p);
        p->client->link.down(p);
        while (next && !next->link.crowded)
                next = next->hh.next;
        if (!next || next->link.state != PEER_IDLE)
                return;
        next->link.crowded = false;
        peer_reset_failures(next);
        p->client->link.idle(next);
}

/* After a try that failed, or to end a connection that somebody else needs more. */
static void on_down(void *userdata)
{
        Peer *p = userdata;
        const bool parting = p->link.parting;

        p->link.parting = false;
        if (p->link.state == PEER_IDLE)
                p->client->link.down(p);
        else if (parting && p->link.state == PEER_CONNECTED)
                part(p);
}

void peer_link_init(Peer *p)
{
        p->link.window = STREAM_WINDOW;
        p->link.max_payload = PAYLOAD_MAX;
        p->link.down = (LoopWork){.run = on_down, .userdata = p};
}

void peer_connect(Peer *p)
{
        if (p->link.state != PEER_IDLE || timer_is_armed(&p->timer))
                return;
        p->link.lacking = false;
        if (try_address(p, 0) < 0)
                loop_defer(p->client->loop, &p->link.down);
}

void peer_connection_timeout(Peer *p)
{
        on_ended(p->link.connection, -ETIMEDOUT, p);
}

void peer_check(Peer *p)
{
        if (liveness_check(p))
                return;
        log_warning("Receiver %s is connected, but does not answer: is it frozen?", peer_name(p));
        on_ended(p->link.connection, -ETIMEDOUT, p);
}

bool peer_has_room(const Peer *p)
{
        return peer_may_be_sent(p) && connection_output_size(p->link.connection) < CONNECTION_OUTPUT_MAX;
}

/* What differs from what a receiver expects. It sends "working" every WORKING_INTERVAL_USEC; a client with a
 * shorter ack timeout asks for a shorter interval. */
static Bytes find_attributes(const Message *m, uint8_t buffer[static ATTRIBUTES_OF_MESSAGE])
{
        uint64_t usec = message_policy(m).ack_timeout_usec;
        size_t n = 0;

        if (usec < 2 * WORKING_INTERVAL_USEC)
                n += frame_attribute_put_u32(
                                buffer + n, ATTRIBUTE_ACK_TIMEOUT, (uint32_t) (usec / USEC_PER_MSEC))
                                     .size;
        if (m->record.policy.priority != PRIORITY_DEFAULT)
                n += frame_attribute_put_u32(buffer + n, ATTRIBUTE_PRIORITY, m->record.policy.priority).size;
        return (Bytes){buffer, n};
}

int peer_write(Peer *p, Message *m)
{
        uint8_t attributes[ATTRIBUTES_OF_MESSAGE];
        Frame f = {.type = FRAME_MESSAGE};

        if (m->record.size > p->link.max_payload)
                return -EMSGSIZE;
        if (!m->payload && m->record.size > 0)
                return -ENODATA;
        window_prepare(m->bind.window, m->record.sequence);
        f.message = (MessageFrame){
                        .stream = m->record.stream,
                        .sequence = m->record.sequence,
                        .message = m->record.id,
                        .attempt = m->record.attempts + 1,
                        .flags = (message_never_started(m) ? 0 : MESSAGE_POSSIBLE_DUPLICATE) |
                                 (m->transient ? MESSAGE_TRANSIENT : 0) |
                                 (m->record.quiet ? MESSAGE_BULK : 0),
                        .attributes = find_attributes(m, attributes),
                        .payload = {m->payload, m->record.size},
        };
        crash_point("bound-before-write");
        Buffer *out = connection_output(p->link.connection);
        if (frame_encode(out, &f) < 0)
                return -EAGAIN;
        peer_sent(m, out->consumed + buffer_size(out));
        liveness_watch(p);
        return 0;
}

void peer_flush(Peer *p)
{
        connection_flush(p->link.connection);
}

void peer_write_cancel(Peer *p, Message *m)
{
        Frame f = {
                        .type = FRAME_CANCEL,
                        .cancel = {m->record.stream, m->record.sequence, m->record.id},
        };

        /* The timer repeats the question, so questions must not pile up for a receiver that does not read.
         */
        if (p->link.state != PEER_CONNECTED ||
                        connection_output_size(p->link.connection) >= CONNECTION_OUTPUT_MAX)
                return;
        (void) !frame_encode(connection_output(p->link.connection), &f);
        liveness_watch(p);
        connection_flush(p->link.connection);
}
