/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/peers.h"

#include <errno.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/deliver.h"
#include "client/engine/queue.h"
#include "client/link/connection.h"
#include "client/link/plain.h"
#include "client/link/window.h"
#include "client/state/message.h"
#include "model/name.h"

const char *peer_name(const Peer *p)
{
        return p->info.name ?: "(unknown receiver)";
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

Peer *peer_find(Client *c, sd_id128_t id)
{
        Peer *p;

        HASH_FIND(hh, c->peers.by_id, &id, sizeof id, p);
        return p;
}

int peer_get(Client *c, sd_id128_t id, Peer **ret)
{
        Peer *p = peer_find(c, id);
        int r;

        if (!p) {
                p = calloc(1, sizeof *p);
                if (!p)
                        return -ENOMEM;
                p->client = c;
                p->info.id = id;
                p->link.window = STREAM_WINDOW;
                p->link.max_payload = PAYLOAD_MAX;
                r = random_uuid(&c->random, p->stream_id.bytes);
                if (r >= 0)
                        r = timer_init(&p->timer, c->loop, "peer", peer_on_timer, p);
                if (r < 0) {
                        free(p);
                        return r;
                }
                HASH_ADD(hh, c->peers.by_id, info.id, sizeof p->info.id, p);
                p->queue = queue_of_receiver(c, id);
        }
        *ret = p;
        return 0;
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
        /* One that was there, and has stopped: what is sent to it waits for it. */
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

static void forget_name(Peer *p)
{
        if (p->listed)
                HASH_DELETE(hh_name, p->client->peers.by_name, p);
        p->listed = false;
}

void peer_list(Peer *p, ReceiverInfo *info)
{
        Client *c = p->client;
        Peer *other;
        bool news = !p->listed, moved = !receiver_info_equal(&p->info, info);

        forget_name(p);
        receiver_info_clear(&p->info);
        p->info = *info;
        *info = (ReceiverInfo){};
        /* Two of one name in one list: discovery does not do that; the later one is found by its name. */
        HASH_FIND(hh_name, c->peers.by_name, p->info.name, strlen(p->info.name), other);
        if (other)
                forget_name(other);
        p->listed = true;
        p->sought = p->sought || news || moved;
        HASH_ADD_KEYPTR(hh_name, c->peers.by_name, p->info.name, strlen(p->info.name), p);
        if (news)
                c->observer.receiver_listed(&p->info, true, c->observer.userdata);
        if ((news || moved) && p->link.state == PEER_IDLE) {
                /* It came (back), maybe elsewhere: what failed before says nothing any more. */
                p->link.failures = 0;
                p->link.missed = false;
                timer_disarm(&p->timer);
        }
        if (p->info.draining)
                deliver_move_on(p);
        peer_pump(p);
}

void peer_unlist(Peer *p)
{
        Client *c = p->client;

        if (!p->listed)
                return;
        forget_name(p);
        p->left = ++c->peers.n_left;
        c->observer.receiver_listed(&p->info, false, c->observer.userdata);
        deliver_move_on(p);
        peer_pump(p); /* whether it can be reached decides about the rest */
        peer_release(p);
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

static void peer_free(Peer *p)
{
        Client *c = p->client;

        peer_disconnect(p);
        forget_name(p);
        for (Queue *q = c->queues.by_text; q; q = q->hh.next)
                if (q->owner == p)
                        q->owner = NULL;
        HASH_DELETE(hh, c->peers.by_id, p);
        index_clear(&p->members); /* at the end of the process some are under way */
        windows_clear(p);
        timer_clear(&p->timer);
        receiver_info_clear(&p->info);
        free(p->link.problem);
        free(p);
}

static void on_removed(DbOp *op, int r)
{
        free(CONTAINER_OF(op, OutboxReceiverOp, op));
}

static void forget(Peer *p)
{
        OutboxReceiverOp *o = calloc(1, sizeof *o);
        if (o) {
                outbox_receiver_op_init(o);
                o->id = p->info.id;
                o->op.done = on_removed;
                db_submit(p->client->db, &o->op);
        }
        peer_free(p);
}

void peer_release(Peer *p)
{
        if (!p->listed && p->n_bound == 0 && !p->windows && p->link.state == PEER_IDLE)
                forget(p);
}

/* It has left, and nothing of ours is open there. When it comes back after all it meets a stream that it
 * does not know, and keeps what it has of the old ones. */
static bool is_forgettable(const Peer *p)
{
        const SendWindow *l;

        if (p->listed || p->n_bound > 0 || p->link.state != PEER_IDLE)
                return false;
        DL_FOREACH(p->windows, l) {
                if (l->n_open > 0)
                        return false;
        }
        return true;
}

void peers_forget(Client *c)
{
        while (HASH_COUNT(c->peers.by_id) > HASH_CNT(hh_name, c->peers.by_name) + DEPARTED_MAX) {
                Peer *oldest = NULL;

                for (Peer *p = c->peers.by_id; p; p = p->hh.next)
                        if (is_forgettable(p) && (!oldest || p->left < oldest->left))
                                oldest = p;
                if (!oldest)
                        return;
                forget(oldest);
        }
}

static void unready(Peer *p, Message *m)
{
        if (!m->link.ready)
                return;
        m->link.ready = false;
        DL_DELETE2(p->ready, m, link.ready_prev, link.ready_next);
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

void peer_unbind(Peer *p, Message *m)
{
        peer_answered(p, m);
        unready(p, m);
        if (p->plain == m)
                peer_disconnect(p);
        DL_DELETE2(p->bound, m, link.prev, link.next);
        p->n_bound--;
        if (m->queue)
                m->queue->n_bound--;
        if (message_is_member(m))
                index_remove(&p->members, &m->link.by_member);
        m->link.peer = NULL;
        m->link.sends = 0;
}

void peer_ready(Peer *p, Message *m)
{
        if (m->link.ready || m->fetching)
                return;
        m->link.ready = true;
        /* Behind what is as urgent. */
        Message *last = p->ready ? p->ready->link.ready_prev : NULL;
        while (last && last->record.policy.priority < m->record.policy.priority)
                last = last == p->ready ? NULL : last->link.ready_prev;
        if (last)
                DL_APPEND_ELEM2(p->ready, last, m, link.ready_prev, link.ready_next);
        else
                DL_PREPEND2(p->ready, m, link.ready_prev, link.ready_next);
}

void peer_answered(Peer *p, Message *m)
{
        if (!m->link.in_flight)
                return;
        m->link.in_flight = false;
        p->link.n_in_flight--;
}

bool peer_is_connected(const Peer *p)
{
        return p->link.state == PEER_CONNECTED && !p->link.leaving;
}

uint32_t peer_free_credit(const Peer *p)
{
        if (p->info.plain)
                return p->listed && p->n_bound == 0 && p->link.failures == 0;
        if (!peer_is_connected(p) || p->full)
                return 0;
        /* Without credit one may go as a probe. */
        if (p->link.credit == 0)
                return p->n_bound == 0;
        return p->link.credit > p->n_bound ? p->link.credit - (uint32_t) p->n_bound : 0;
}

const char *peer_state_name(const Peer *p)
{
        return p->info.draining                  ? "draining"
               : p->link.state == PEER_CONNECTED ? "connected"
               : p->link.failures > 0            ? "unreachable"
                                                 : "idle";
}

/* The payload comes from the disk; the message is ready again when it is there. */
typedef struct Fetch {
        OutboxPayloadOp fetch;
        Message *message;
} Fetch;

static void on_payload(DbOp *op, int r)
{
        Fetch *f = CONTAINER_OF(CONTAINER_OF(op, OutboxPayloadOp, op), Fetch, fetch);
        Message *m = f->message;

        m->fetching = false;
        if (r >= 0)
                r = f->fetch.size == m->record.size ? message_keep_payload(m, f->fetch.payload) : -EUCLEAN;
        if (r < 0)
                log_error_errno(r, "Cannot read message %" PRIu64 " from the outbox", m->record.number);
        free(f->fetch.payload);
        free(f);
        if (m->link.peer && m->record.state == DELIVERY_BOUND && r >= 0) {
                peer_ready(m->link.peer, m);
                peer_pump(m->link.peer);
        } else if (r < 0)
                deliver_unreadable(m, r);
        message_release(m);
}

void peer_fetch(Peer *p, Message *m)
{
        Fetch *f = calloc(1, sizeof *f);

        unready(p, m);
        if (!f) {
                deliver_unreadable(m, -ENOMEM);
                return;
        }
        outbox_payload_op_init(&f->fetch);
        f->message = m;
        f->fetch.number = m->record.number;
        f->fetch.op.done = on_payload;
        m->fetching = true;
        db_submit(m->client->db, &f->fetch.op);
}

/* A receiver says "working" every WORKING_INTERVAL_USEC; who waits for less long tells it so. */
static Bytes find_attributes(const Message *m, uint8_t buffer[static ATTRIBUTE_U32_SIZE])
{
        uint64_t usec = message_policy(m).ack_timeout_usec;

        return usec < 2 * WORKING_INTERVAL_USEC ? frame_attribute_put_u32(buffer, ATTRIBUTE_ACK_TIMEOUT,
                                                                  (uint32_t) (usec / USEC_PER_MSEC))
                                                : (Bytes){};
}

/* True when it was written. */
static bool write_message(Peer *p, Message *m)
{
        uint8_t attributes[ATTRIBUTE_U32_SIZE];
        Frame f = {.type = FRAME_MESSAGE};

        f.message = (MessageFrame){
                        .stream = m->record.stream,
                        .sequence = m->record.sequence,
                        .message = m->record.id,
                        .attempt = m->record.attempts + 1,
                        .flags = (m->record.duplicate || m->link.sends > 0 ? MESSAGE_POSSIBLE_DUPLICATE
                                                                           : 0) |
                                 (m->transient ? MESSAGE_MEMORY : 0),
                        .attributes = find_attributes(m, attributes),
                        .payload = {m->payload, m->record.size},
        };
        crash_point("bound-before-write");
        if (frame_encode(connection_output(p->link.connection), &f) < 0)
                return false;
        m->link.sends++;
        m->link.in_flight = true;
        p->link.n_in_flight++;
        return true;
}

static void write_ready(Peer *p)
{
        while (p->ready && p->link.n_in_flight < MAX(p->link.credit, 1u) &&
                        connection_output_size(p->link.connection) < CONNECTION_OUTPUT_MAX) {
                Message *m = p->ready;

                /* What it may know is still asked for. */
                if (p->info.draining && m->link.sends == 0 && !m->record.duplicate)
                        break;
                unready(p, m);
                if (m->record.size > p->link.max_payload)
                        deliver_too_large(m, p->link.max_payload);
                else if (!m->payload && m->record.size > 0)
                        peer_fetch(p, m);
                else if (write_message(p, m))
                        deliver_event(m, DELIVERY_WRITE, NULL);
                else {
                        peer_ready(p, m); /* out of memory: when the connection has drained */
                        break;
                }
        }
        connection_flush(p->link.connection);
        crash_point("behind-write");
}

void peer_send_cancel(Peer *p, Message *m)
{
        Frame f = {
                        .type = FRAME_CANCEL,
                        .cancel = {m->record.stream, m->record.sequence, m->record.id},
        };

        /* It is asked again by the timer: for who does not read that must not pile up. */
        if (p->link.state != PEER_CONNECTED ||
                        connection_output_size(p->link.connection) >= CONNECTION_OUTPUT_MAX)
                return;
        (void) !frame_encode(connection_output(p->link.connection), &f);
        connection_flush(p->link.connection);
}

void peer_pump(Peer *p)
{
        if (p->client->stopping)
                return;
        if (p->info.plain)
                plain_pump(p);
        else if (peer_is_connected(p))
                write_ready(p);
        else if (p->link.state == PEER_IDLE && (p->bound || (p->listed && p->windows)))
                peer_connect(p);
}

void peers_clear(Client *c)
{
        Peer *p, *next;

        HASH_ITER(hh, c->peers.by_id, p, next)
                peer_free(p);
}
