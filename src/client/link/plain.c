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

static void disconnect(Peer *p)
{
        p->plain = NULL;
        peer_disconnect(p);
}

static void on_connected(Connection *s, void *userdata)
{
        Peer *p = userdata;
        Message *m = p->plain;

        peer_reset_failures(p);
        if (buffer_append(connection_output(s), m->payload, m->record.size) < 0) {
                disconnect(p);
                peer_connection_failed(p);
                return;
        }
        connection_flush(s);
        peer_sent(m, 0);
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
        disconnect(p);
        answer(m, acked ? OUTCOME_ACKED : OUTCOME_FAILED, acked ? "" : "the receiver's answer is not ACK");
        p->client->link.room(p);
}

static int open_address(Peer *p, Message *m, size_t address);

static void on_ended(Connection *s, int error, void *userdata)
{
        Peer *p = userdata;
        Message *m = p->plain;

        peer_set_problem(p, error, "closed without ACK");
        disconnect(p);
        if (m->record.state == DELIVERY_SENT) {
                answer(m, OUTCOME_FAILED, p->link.problem ?: "");
                /* If the message is tried again, the next message goes after that attempt. */
                if (delivery_state_is_final(m->record.state))
                        p->client->link.room(p);
        } else if (p->link.address + 1 < p->info.n_addresses)
                (void) open_address(p, m, p->link.address + 1);
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

static int open_address(Peer *p, Message *m, size_t address)
{
        int r = peer_open(p, address, &callbacks);

        if (r < 0)
                peer_connection_failed(p);
        else
                p->plain = m;
        return r;
}

bool plain_is_free(Peer *p)
{
        /* An attempt that timed out keeps its connection until the next message needs one. */
        if (p->plain && !timer_is_armed(&p->timer) && p->plain->record.state != DELIVERY_SENT)
                disconnect(p);
        return !p->link.connection && !timer_is_armed(&p->timer) && p->info.n_addresses > 0;
}

int plain_write(Peer *p, Message *m)
{
        if (!m->payload && m->record.size > 0)
                return -ENODATA;
        return open_address(p, m, 0);
}

void plain_release(Message *m)
{
        if (m->link.peer->plain == m)
                disconnect(m->link.peer);
}
