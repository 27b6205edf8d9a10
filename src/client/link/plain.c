/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/plain.h"

#include <errno.h>

#include "base/str-util.h"
#include "client/link/connection.h"
#include "client/state/peer.h"

#define ACK "ACK"

static void answer(Message *m, Outcome outcome, const char *text)
{
        const AnswerFrame a = {
                        .outcome = outcome,
                        .data = {(const uint8_t *) text, strlen(text)},
        };

        m->client->link.answer(m, &a);
}

static void on_connected(Connection *s, void *userdata)
{
        Peer *p = userdata;
        Message *m = p->plain;

        timer_disarm(&p->timer);
        p->link.failures = 0;
        if (buffer_append(connection_output(s), m->payload, m->record.size) < 0) {
                peer_disconnect(p);
                peer_connection_failed(p);
                return;
        }
        connection_flush(s);
        peer_sent(m);
        peer_unready(m);
        p->client->link.written(p);
}

static void on_readable(Connection *s, void *userdata)
{
        Peer *p = userdata;
        Message *m = p->plain;

        if (buffer_size(connection_input(s)) < STRLEN(ACK))
                return;
        bool acked = memcmp(buffer_peek(connection_input(s)), ACK, STRLEN(ACK)) == 0;
        peer_disconnect(p);
        answer(m, acked ? OUTCOME_ACKED : OUTCOME_FAILED,
                        acked ? "" : "the receiver answered something else than ACK");
        p->client->link.room(p);
}

static int open_address(Peer *p, Message *m);

static void on_ended(Connection *s, int error, void *userdata)
{
        Peer *p = userdata;
        Message *m = p->plain;
        char text[ADDRESS_STRING_MAX];

        free(p->link.problem);
        p->link.problem = str_format("%s: %s", address_format(p->info.addresses + p->link.address, text),
                        error < 0 ? strerror(-error) : "closed without ACK");
        peer_disconnect(p);
        if (m->record.state == DELIVERY_SENT)
                answer(m, OUTCOME_FAILED, p->link.problem ?: "");
        else if (++p->link.address < p->info.n_addresses)
                (void) open_address(p, m);
        else {
                peer_connection_failed(p);
                p->client->link.down(p);
        }
}

void plain_on_timeout(Peer *p)
{
        on_ended(p->link.connection, -ETIMEDOUT, p);
}

static const ConnectionCallbacks callbacks = {
                .connected = on_connected,
                .readable = on_readable,
                .ended = on_ended,
};

static int open_address(Peer *p, Message *m)
{
        uint64_t timeout = p->client->config.policy.ack_timeout_usec;
        int r;

        r = connection_open(p->client->loop, p->info.addresses + p->link.address, timeout, &callbacks, p,
                        &p->link.connection);
        if (r < 0) {
                peer_connection_failed(p);
                return r;
        }
        p->plain = m;
        p->link.state = PEER_CONNECTING;
        (void) timer_arm_in(&p->timer, timeout);
        return 0;
}

bool plain_is_free(Peer *p)
{
        /* An attempt that timed out still has its connection: it is given up for the next one. */
        if (p->plain && !timer_is_armed(&p->timer) && p->plain->record.state != DELIVERY_SENT)
                peer_disconnect(p);
        return !p->link.connection && !timer_is_armed(&p->timer) && p->info.n_addresses > 0;
}

int plain_write(Peer *p, Message *m)
{
        if (!m->payload && m->record.size > 0)
                return -ENODATA;
        p->link.address = 0;
        return open_address(p, m);
}

void plain_release(Message *m)
{
        if (m->link.peer->plain == m)
                peer_disconnect(m->link.peer);
}
