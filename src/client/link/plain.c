/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/plain.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/engine/deliver.h"
#include "client/link/connection.h"
#include "client/state/message.h"

#define ACK "ACK"

static void plain_open(Peer *p, Message *m);

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
        m->link.sends++;
        m->link.ready = false;
        DL_DELETE2(p->ready, m, link.ready_prev, link.ready_next);
        deliver_event(m, DELIVERY_WRITE, NULL);
}

static void on_readable(Connection *s, void *userdata)
{
        Peer *p = userdata;
        Message *m = p->plain;

        if (buffer_size(connection_input(s)) < STRLEN(ACK))
                return;
        bool acked = memcmp(buffer_peek(connection_input(s)), ACK, STRLEN(ACK)) == 0;
        peer_disconnect(p);
        deliver_event(m, acked ? DELIVERY_ANSWER_ACKED : DELIVERY_ANSWER_FAILED,
                        acked ? "" : "the receiver answered something else than ACK");
        peer_pump(p);
}

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
                deliver_event(m, DELIVERY_ANSWER_FAILED, p->link.problem);
        else if (++p->link.address < p->info.n_addresses)
                plain_open(p, m);
        else {
                peer_connection_failed(p);
                deliver_disconnected(p);
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

static void plain_open(Peer *p, Message *m)
{
        Client *c = p->client;

        if (connection_open(c->loop, p->info.addresses + p->link.address, c->config.policy.ack_timeout_usec,
                            &callbacks, p, &p->link.connection) < 0) {
                peer_connection_failed(p);
                return;
        }
        p->plain = m;
        p->link.state = PEER_CONNECTING;
        (void) timer_arm_in(&p->timer, c->config.policy.ack_timeout_usec);
}

void plain_pump(Peer *p)
{
        Message *m = p->ready;

        /* An attempt that timed out still has its connection: it is given up for the next one. */
        if (p->link.connection && !timer_is_armed(&p->timer) && p->plain->record.state != DELIVERY_SENT)
                peer_disconnect(p);
        if (!m || p->link.connection || timer_is_armed(&p->timer) || p->info.n_addresses == 0)
                return;
        if (!m->payload && m->record.size > 0) {
                peer_fetch(p, m);
                return;
        }
        p->link.address = 0;
        plain_open(p, m);
}
