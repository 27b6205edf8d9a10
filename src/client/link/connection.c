/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/connection.h"

#include <errno.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "client/engine/bind.h"
#include "client/engine/deliver.h"
#include "client/link/plain.h"
#include "client/link/window.h"
#include "client/state/message.h"
#include "model/backoff.h"

#define ANSWER_BODY_MAX (REPLY_MAX + 1024u)

static void try_address(Peer *p);

static void leave_connected(Peer *p)
{
        if (p->link.state == PEER_CONNECTED)
                DL_DELETE2(p->client->peers.connected, p, link.prev, link.next);
        p->link.state = PEER_IDLE;
        p->link.leaving = p->link.restarting = false;
        p->link.n_in_flight = 0;
        p->link.credit = 0;
}

void peer_disconnect(Peer *p)
{
        p->link.connection = connection_free(p->link.connection);
        p->n_closed++;
        p->plain = NULL;
        timer_disarm(&p->timer);
        leave_connected(p);
}

void peer_connection_failed(Peer *p)
{
        uint64_t random = random_u64();

        p->link.failures++;
        (void) timer_arm_in(&p->timer, backoff_delay(&BACKOFF_CONNECT, p->link.failures, random));
}

static void on_ended(Connection *s, int error, void *userdata)
{
        Peer *p = userdata;
        bool was_connected = p->link.state == PEER_CONNECTED, back_at_once = p->link.restarting;
        char text[ADDRESS_STRING_MAX];

        free(p->link.problem);
        p->link.problem = str_format("%s: %s",
                        p->link.address < p->info.n_addresses
                                        ? address_format(p->info.addresses + p->link.address, text)
                                        : "no address",
                        error < 0 ? strerror(-error) : "closed by the receiver");
        log_debug("Connection to %s ended: %s", peer_name(p), p->link.problem ?: "");
        peer_disconnect(p);
        if (!was_connected) {
                p->link.address++;
                try_address(p);
                return;
        }
        if (back_at_once)
                (void) timer_arm_in(&p->timer, 0);
        else
                peer_connection_failed(p);
        deliver_disconnected(p);
}

static void fail(Peer *p, const char *reason)
{
        log_warning("Receiver %s: %s", peer_name(p), reason);
        on_ended(p->link.connection, -EPROTO, p);
}

static void on_welcome(Peer *p, const WelcomeFrame *w)
{
        Client *c = p->client;

        if (!sd_id128_equal(w->receiver, p->info.id) || p->link.state != PEER_CONNECTING) {
                fail(p, "another receiver, or WELCOME twice");
                return;
        }
        timer_disarm(&p->timer);
        p->link.state = PEER_CONNECTED;
        p->link.failures = 0;
        p->link.missed = false;
        p->link.credit = w->credit;
        p->link.window = MAX(w->window, 1u);
        p->link.max_payload = w->max_payload;
        DL_APPEND2(c->peers.connected, p, link.prev, link.next);
        log_debug("Connected to %s (credit %" PRIu32 ")", peer_name(p), w->credit);
        windows_announce(p, true);
        deliver_connected(p);
}

/* Nothing is written behind the answer: what it has not begun when it has read that, it says. */
static void on_goodbye(Peer *p, const Frame *f)
{
        p->link.leaving = true;
        p->link.restarting = f->reason == GOODBYE_RESTARTING;
        (void) !frame_encode(connection_output(p->link.connection), f);
        connection_flush(p->link.connection);
        deliver_move_on(p);
}

static void on_frame(Peer *p, const Frame *f)
{
        if (p->link.state != PEER_CONNECTED && f->type != FRAME_WELCOME && f->type != FRAME_ERROR) {
                fail(p, "answers before WELCOME");
                return;
        }
        switch (f->type) {
        case FRAME_WELCOME:
                on_welcome(p, &f->welcome);
                break;
        case FRAME_ANSWER:
                deliver_answer(p, &f->answer);
                break;
        case FRAME_CREDIT:
                p->link.credit = f->credit;
                deliver_credit(p);
                break;
        case FRAME_PRUNED:
                window_pruned(p, f->stream);
                break;
        case FRAME_GOODBYE:
                on_goodbye(p, f);
                break;
        case FRAME_PONG:
                break;
        case FRAME_ERROR: {
                _cleanup_free_ char *text = str_printable(f->text.data, f->text.size, ERROR_TEXT_MAX);
                fail(p, text ?: "ERROR");
                break;
        }
        default:
                fail(p, "a frame that only clients send");
        }
}

static void on_readable(Connection *s, void *userdata)
{
        Peer *p = userdata;
        uint64_t n_closed = p->n_closed;
        Error error = {};
        Frame f;

        while (p->n_closed == n_closed) {
                Buffer *in = connection_input(s);
                ssize_t n = frame_decode(
                                buffer_peek(in), buffer_size(in), ANSWER_BODY_MAX, &f, NULL, &error);

                if (n == 0)
                        break;
                if (n < 0) {
                        fail(p, error.text);
                        return;
                }
                on_frame(p, &f);
                if (p->n_closed == n_closed)
                        buffer_consume(in, (size_t) n);
        }
        if (p->n_closed == n_closed && p->link.state == PEER_CONNECTED)
                deliver_credit(p); /* answers make room */
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
                peer_pump(p);
}

static const ConnectionCallbacks callbacks = {
                .connected = on_connected,
                .readable = on_readable,
                .ended = on_ended,
                .drained = on_drained,
};

/* The next address that can be tried; after the last one a pause. */
static void try_address(Peer *p)
{
        for (; p->link.address < p->info.n_addresses; p->link.address++) {
                const Address *a = p->info.addresses + p->link.address;

                if (a->kind == ADDRESS_UNIX && access(a->host, F_OK) < 0)
                        continue;
                if (connection_open(p->client->loop, a, p->client->config.policy.ack_timeout_usec,
                                    &callbacks, p, &p->link.connection) < 0)
                        continue;
                p->link.state = PEER_CONNECTING;
                (void) timer_arm_in(&p->timer, p->client->config.policy.ack_timeout_usec);
                return;
        }
        p->link.state = PEER_IDLE;
        p->link.missed = true;
        peer_connection_failed(p);
        deliver_disconnected(p);
}

void peer_connect(Peer *p)
{
        if (p->link.state != PEER_IDLE || timer_is_armed(&p->timer))
                return;
        p->link.address = 0;
        try_address(p);
}

void peer_on_timer(void *userdata)
{
        Peer *p = userdata;

        if (p->plain)
                plain_on_timeout(p);
        else if (p->link.state == PEER_CONNECTING)
                on_ended(p->link.connection, -ETIMEDOUT, p);
        else if (p->link.state == PEER_IDLE) {
                Client *c = p->client;

                peer_pump(p);
                bind_for_peer(p);
                peer_release(p);
                peers_forget(c);
        }
}
