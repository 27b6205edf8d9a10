/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/peer.h"

#include <errno.h>
#include <stdio.h>
#include <utlist.h>

#include "client/state/message.h"
#include "model/name.h"

#define CANDIDATES_MAX 4u /* names that an error text shows */

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

Peer *peer_find_holder(const Client *c, const char *name)
{
        Peer *p;

        HASH_FIND(hh_name, c->peers.by_name, name, strlen(name), p);
        if (!p)
                HASH_FIND(hh_name, c->peers.remembered, name, strlen(name), p);
        return p;
}

Peer *peer_of_selector(Client *c, const Selector *s)
{
        return s->name ? peer_find_holder(c, s->name) : peer_find(c, s->receiver);
}

static const char *own_host(const Client *c)
{
        return c->config.host_name ?: c->host;
}

/* The whole name, or the name without the host of a receiver of this host. */
static Peer *find_name(const Client *c, Peer *hash, const char *word)
{
        char whole[2 * NAME_MAX_LENGTH + 2];
        Peer *p;

        HASH_FIND(hh_name, hash, word, strlen(word), p);
        if (p || strchr(word, '@') || strlen(word) > NAME_MAX_LENGTH)
                return p;
        (void) snprintf(whole, sizeof whole, "%s@%s", word, own_host(c));
        HASH_FIND(hh_name, hash, whole, strlen(whole), p);
        return p;
}

static const Peer *find_elsewhere(const Peer *from, const char *word)
{
        while (from && !name_matches(from->info.name, word))
                from = from->hh_name.next;
        return from;
}

int peer_find_by_word(Client *c, const char *word, Peer **ret)
{
        sd_id128_t id;

        if (sd_id128_from_string(word, &id) >= 0) {
                *ret = peer_find(c, id);
                return *ret ? 0 : -ENOENT;
        }
        *ret = find_name(c, c->peers.by_name, word) ?: find_name(c, c->peers.remembered, word);
        if (*ret)
                return 0;
        return find_elsewhere(c->peers.by_name, word) || find_elsewhere(c->peers.remembered, word)
                               ? -ENOTUNIQ
                               : -ENOENT;
}

void peer_tell_unknown(const Client *c, const char *word, Error *error)
{
        const Peer *hash = find_elsewhere(c->peers.by_name, word) ? c->peers.by_name : c->peers.remembered;
        char names[CANDIDATES_MAX * (NAME_MAX_LENGTH + 3)] = "";
        size_t size = 0;
        unsigned n = 0;

        for (const Peer *p = find_elsewhere(hash, word); p; p = find_elsewhere(p->hh_name.next, word))
                if (n++ < CANDIDATES_MAX)
                        size += (size_t) snprintf(names + size, sizeof names - size, "%s%s",
                                        n > 1 ? ", " : "", p->info.name);
        if (n > 0)
                (void) error_set(error, -ENOTUNIQ,
                                "No receiver \"%s\" is known on host %s, but %s%s: use the whole name", word,
                                own_host(c), names, n > CANDIDATES_MAX ? " and others" : "");
        else
                (void) error_set(error, -ENOENT, "No receiver \"%s\" is known%s", word,
                                c->discovery_state == DISCOVERY_REACHABLE
                                                ? ""
                                                : ", and discovery does not answer");
}

const Peer *message_peer(const Message *m)
{
        if (m->link.peer || !m->queue)
                return m->link.peer;
        return m->queue->selector.mode == SELECTOR_TO ? peer_of_selector(m->client, &m->queue->selector)
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

bool peer_may_be_sent(const Peer *p)
{
        const size_t n_kept = p->n_pressing + p->n_fetching;

        /* The probe is the most urgent one, although it may have to be bound or read first. */
        if (peer_is_pausing(p) || (p->pause.probing && n_kept > 0))
                return false;
        return p->link.n_in_flight + n_kept < MAX(p->link.credit, 1u);
}

bool peer_may_be_pressed(const Peer *p)
{
        return p->ready && !p->full && !p->info.plain && peer_is_connected(p) && peer_may_be_sent(p);
}

static bool refuses(const Peer *p)
{
        return p->info.draining || (!p->info.plain && (!peer_is_connected(p) || peer_is_pausing(p)));
}

bool peer_is_overfull(const Peer *p)
{
        const size_t n = p->n_bound - p->n_backoff - p->n_pressing;

        return refuses(p) || (!p->info.plain && n > MAX(p->link.credit, 1u));
}

bool peer_takes_now(const Peer *p)
{
        return !refuses(p) && (p->info.plain || peer_may_be_sent(p));
}

void peer_note_state(const Message *m, DeliveryState before)
{
        const bool waits = m->record.state == DELIVERY_BACKOFF, waited = before == DELIVERY_BACKOFF;

        if (waits != waited && m->link.peer)
                m->link.peer->n_backoff += waits ? 1 : (size_t) -1;
}

const char *peer_state_name(const Peer *p)
{
        return p->remembered && p->link.state != PEER_CONNECTED ? "offline"
               : p->info.draining                               ? "draining"
               : p->link.state == PEER_CONNECTED                ? "connected"
               : p->link.failures > 0                           ? "unreachable"
                                                                : "idle";
}

static void again(RetryItem *i)
{
        Peer *p = CONTAINER_OF(i, Peer, retry);

        p->client->link.room(p);
}

void peer_try_again(Peer *p)
{
        retry_soon(&p->client->retries, &p->retry, again);
}

static void on_room(void *userdata)
{
        Peer *p = userdata;

        p->client->link.room(p);
}

void peer_note_room(Peer *p)
{
        if (p->room.deferred)
                return;
        p->room = (LoopWork){on_room, p};
        loop_defer(p->client->loop, &p->room);
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
        peer_fetched(m);
        DL_DELETE2(p->bound, m, link.prev, link.next);
        p->n_bound--;
        if (m->queue)
                m->queue->n_bound--;
        if (message_is_member(m))
                index_remove(&p->members, &m->link.by_member);
        m->link.peer = NULL;
        m->link.sends = 0;
        m->link.attempted = false;
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

void peer_sent(Message *m, uint64_t end)
{
        m->link.sends++;
        m->link.repeated = m->link.attempted;
        m->link.attempted = true;
        m->link.end = end;
        /* Plain text uses no credit: one message goes at a time. */
        if (m->link.peer->info.plain)
                return;
        m->link.in_flight = true;
        m->link.peer->link.n_in_flight++;
        if (m->link.peer->pause.probing)
                m->link.peer->pause.probe = m;
}

void peer_unsent(Message *m)
{
        if (m->link.peer->info.plain || m->link.end <= m->link.peer->link.taken)
                return;
        m->link.sends--;
        m->link.attempted = m->link.repeated;
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

void peer_fetches(Message *m)
{
        m->link.fetching = true;
        m->link.peer->n_fetching++;
}

void peer_fetched(Message *m)
{
        if (!m->link.fetching)
                return;
        m->link.fetching = false;
        m->link.peer->n_fetching--;
}

void peer_attempt_ended(Message *m)
{
        m->link.attempted = false;
}

void peer_not_started(Message *m)
{
        m->link.sends = 0;
        m->link.attempted = false;
}
