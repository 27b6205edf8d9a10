/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/peer.h"

#include <errno.h>
#include <utlist.h>

#include "client/state/message.h"
#include "model/name.h"

const char *peer_name(const Peer *p)
{
        return p->info.name ?: "(unknown receiver)";
}

Peer *peer_find(Client *c, sd_id128_t id)
{
        Peer *p;

        HASH_FIND(hh, c->peers.by_id, &id, sizeof id, p);
        return p;
}

int peer_find_by_word(Client *c, const char *word, Peer **ret)
{
        Peer *p, *found = NULL;
        sd_id128_t id;

        if (sd_id128_from_string(word, &id) >= 0) {
                *ret = peer_find(c, id);
                return *ret ? 0 : -ENOENT;
        }
        HASH_FIND(hh_name, c->peers.by_name, word, strlen(word), found);
        for (p = found ? NULL : c->peers.by_name; p; p = p->hh_name.next) {
                if (!name_matches(p->info.name, word))
                        continue;
                if (found)
                        return -ENOTUNIQ;
                found = p;
        }
        /* Then the receivers that are not listed: messages to them wait. */
        for (p = found ? NULL : c->peers.by_id; p; p = p->hh.next) {
                if (!p->info.name || !name_matches(p->info.name, word))
                        continue;
                if (found)
                        return -ENOTUNIQ;
                found = p;
        }
        *ret = found;
        return found ? 0 : -ENOENT;
}

const Peer *message_peer(const Message *m)
{
        if (m->link.peer || !m->queue)
                return m->link.peer;
        return m->queue->selector.mode == SELECTOR_TO ? peer_find(m->client, m->queue->selector.receiver)
                                                      : m->queue->waits_at;
}

bool peer_may_be_chosen(const Peer *p)
{
        return p->listed && !p->info.draining;
}

bool peer_is_gone(const Peer *p)
{
        return !p->listed && p->link.state == PEER_IDLE && (p->link.missed || p->info.plain) &&
               p->client->discovery_state == DISCOVERY_REACHABLE;
}

bool peer_is_connected(const Peer *p)
{
        return p->link.state == PEER_CONNECTED && !p->link.leaving;
}

bool peer_is_pausing(const Peer *p)
{
        return p->pause.on || p->pause.probe;
}

uint32_t peer_free_credit(const Peer *p)
{
        const size_t n = p->n_bound - p->n_backoff;

        if (p->info.plain)
                return n == 0;
        if (!peer_is_connected(p) || p->full || peer_is_pausing(p))
                return 0;
        /* Without credit one message may be bound, as a probe. */
        if (p->link.credit == 0)
                return n == 0;
        if (p->pause.probing)
                return n == p->link.n_in_flight && p->link.credit > n;
        return p->link.credit > n ? p->link.credit - (uint32_t) n : 0;
}

void peer_note_state(const Message *m, DeliveryState before)
{
        if (!m->link.peer)
                return;
        m->link.peer->n_backoff += m->record.state == DELIVERY_BACKOFF;
        m->link.peer->n_backoff -= before == DELIVERY_BACKOFF;
}

const char *peer_state_name(const Peer *p)
{
        return p->info.draining                  ? "draining"
               : p->link.state == PEER_CONNECTED ? "connected"
               : p->link.failures > 0            ? "unreachable"
                                                 : "idle";
}

int peer_bind(Peer *p, Message *m)
{
        int r = message_is_member(m)
                                ? index_add(&p->members, &m->link.by_member, message_hash(m->record.id, 0))
                                : 0;

        if (r < 0)
                return r;
        m->link.peer = p;
        DL_APPEND2(p->bound, m, link.prev, link.next);
        p->n_bound++;
        if (m->queue)
                m->queue->n_bound++;
        return 0;
}

void peer_unbind(Message *m)
{
        Peer *p = m->link.peer;

        peer_answered(m);
        peer_unready(m);
        DL_DELETE2(p->bound, m, link.prev, link.next);
        p->n_bound--;
        if (m->queue)
                m->queue->n_bound--;
        if (message_is_member(m))
                index_remove(&p->members, &m->link.by_member);
        m->link.peer = NULL;
        m->link.sends = 0;
}

Message *peer_find_message(const Peer *p, sd_id128_t id)
{
        IndexItem *i = index_first(&p->members, message_hash(id, 0));

        for (; i; i = index_next(i)) {
                Message *member = CONTAINER_OF(i, Message, link.by_member);
                if (sd_id128_equal(member->record.id, id))
                        return member;
        }
        Message *m = message_find(p->client, id);
        return m && m->link.peer == p ? m : NULL;
}

void peer_ready(Message *m)
{
        Peer *p = m->link.peer;

        if (m->link.ready || m->fetching)
                return;
        m->link.ready = true;
        /* Insert it behind all messages of the same or a higher priority. */
        Message *last = p->ready ? p->ready->link.ready_prev : NULL;
        while (last && last->record.policy.priority < m->record.policy.priority)
                last = last == p->ready ? NULL : last->link.ready_prev;
        if (last)
                DL_APPEND_ELEM2(p->ready, last, m, link.ready_prev, link.ready_next);
        else
                DL_PREPEND2(p->ready, m, link.ready_prev, link.ready_next);
}

void peer_unready(Message *m)
{
        if (!m->link.ready)
                return;
        m->link.ready = false;
        DL_DELETE2(m->link.peer->ready, m, link.ready_prev, link.ready_next);
}

void peer_reorder(Peer *p)
{
        Message *m;

        while (p->ready)
                peer_unready(p->ready);
        DL_FOREACH2(p->bound, m, link.next)
        {
                if (m->record.state == DELIVERY_BOUND)
                        peer_ready(m);
        }
}

void peer_sent(Message *m)
{
        m->link.sends++;
        /* Plain text uses no credit: one message goes at a time. */
        if (m->link.peer->info.plain)
                return;
        m->link.in_flight = true;
        m->link.peer->link.n_in_flight++;
        if (m->link.peer->pause.probing)
                m->link.peer->pause.probe = m;
}

void peer_answered(Message *m)
{
        if (!m->link.in_flight)
                return;
        m->link.in_flight = false;
        m->link.peer->link.n_in_flight--;
        if (m->link.peer->pause.probe == m)
                m->link.peer->pause.probe = NULL;
}

void peer_not_started(Message *m)
{
        m->link.sends = 0;
}
