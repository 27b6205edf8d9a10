/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ROOM_USUAL       ((size_t) 200 << 10)
#define RETRANSMIT_USEC  USEC_PER_SEC
#define SEGMENTS_INITIAL 8u

static Pair *pairs;
static uint64_t last_number;
static size_t room_min, room_max; /* bytes that the kernels hold for a reader that does not read */

void socket_world_begin(void)
{
        pairs = NULL;
        last_number = 0;
        room_min = room_max = ROOM_USUAL;
}

void net_set_room(size_t min, size_t max)
{
        assert(min > 0 && min <= max);
        room_min = min;
        room_max = max;
}

Pair *pairs_first(void)
{
        return pairs;
}

static void pair_free(Pair *p)
{
        for (unsigned i = 0; i < 2; i++) {
                TestSocket *s = p->ends + i;

                owned_remove(&s->owned);
                event_unset(&s->delivery);
                event_unset(&s->silence);
                buffer_clear(&s->received);
                free(s->segments);
        }
        DL_DELETE(pairs, p);
        free(p);
}

void socket_world_end(void)
{
        while (pairs)
                pair_free(pairs);
}

static void pair_check(Pair *p)
{
        if (p->ends[0].is_closed && p->ends[1].is_closed && !p->is_held)
                pair_free(p);
}

/* What comes to an end. */

size_t socket_n_left(const TestSocket *s)
{
        return s->pair->is_tcp ? 0 : buffer_size(&s->received);
}

size_t socket_n_arrived(const TestSocket *s)
{
        return buffer_size(&s->received) - s->on_the_way;
}

/* `delay_usec` is added to the delay of the link. */
static void send_end(TestSocket *to, int error, uint64_t delay_usec, bool closes);

static void offer(TestSocket *s)
{
        s->pair->is_offered = true;
        if (listener_offer(s))
                return;
        s->is_closed = true;
        send_end(s->peer, -ECONNRESET, 0, true);
        net_tell(NET_ENDED, s, NULL, 0, 0);
}

/* A kernel answers what comes for a socket that is gone. */
static void arrive(TestSocket *s, size_t n)
{
        s->on_the_way -= n;
        if (!s->pair->is_offered)
                offer(s);
        else if (s->is_closed)
                send_end(s->peer, -ECONNRESET, 0, true);
}

static void arrive_end(TestSocket *s)
{
        s->end_is_sent = false;
        if (s->end_error < 0)
                s->error = s->peer_is_shut && s->pair->is_tcp ? -EPIPE : s->end_error;
        s->peer_is_shut = true;
        s->peer_is_closed |= s->end_closes;
}

static void deliver(TestSocket *s)
{
        const uint64_t now = world_now();
        bool any = false;

        event_unset(&s->delivery);
        if (s->n_segments == 0 && !s->end_is_sent)
                return;
        if (!link_carries(s->link))
                return;
        while (s->n_segments > 0 && s->segments[s->first_segment].at <= now) {
                const size_t n = s->segments[s->first_segment++].size;

                if (--s->n_segments == 0)
                        s->first_segment = 0;
                arrive(s, n);
                any = true;
        }
        if (s->n_segments == 0 && s->end_is_sent && s->end_at <= now) {
                arrive_end(s);
                any = true;
        }
        if (s->n_segments > 0)
                event_set(&s->delivery, s->segments[s->first_segment].at);
        else if (s->end_is_sent)
                event_set(&s->delivery, s->end_at);
        if (any && !s->is_closed)
                process_wake(s->process);
}

static void on_delivery(void *userdata)
{
        TestSocket *s = userdata;

        deliver(s);
        pair_check(s->pair);
}

static void push(TestSocket *to, uint64_t at, size_t n)
{
        Segment *last = to->n_segments > 0 ? to->segments + to->first_segment + to->n_segments - 1 : NULL;

        if (last && last->at == at) {
                last->size += n;
                return;
        }
        if (to->first_segment + to->n_segments == to->n_allocated) {
                if (to->first_segment >= to->n_segments && to->first_segment > 0)
                        memmove(to->segments, to->segments + to->first_segment,
                                        to->n_segments * sizeof to->segments[0]);
                else {
                        const size_t n_new = MAX(2 * to->n_allocated, SEGMENTS_INITIAL);
                        Segment *grown = malloc(n_new * sizeof *grown);

                        assert(grown);
                        if (to->n_segments > 0)
                                memcpy(grown, to->segments + to->first_segment,
                                                to->n_segments * sizeof *grown);
                        free(to->segments);
                        to->segments = grown;
                        to->n_allocated = n_new;
                }
                to->first_segment = 0;
        }
        to->segments[to->first_segment + to->n_segments++] = (Segment){.at = at, .size = n};
        to->last_at = at;
}

/* Sends `n` bytes that are in the buffer of `to` already; 0: the connection itself. */
static void send_on(TestSocket *to, size_t n)
{
        to->on_the_way += n;
        do {
                const size_t piece = n > 0 ? link_piece(to->link, n) : 0;
                uint64_t at = world_now() + link_delay(to->link);

                /* Pieces of one write arrive one after the other. */
                at = MAX(at, to->last_at + (piece < n));
                push(to, at, piece);
                n -= piece;
        } while (n > 0);
        if (!event_is_set(&to->delivery))
                deliver(to);
}

static void send_end(TestSocket *to, int error, uint64_t delay_usec, bool closes)
{
        /* A test may ask a closed end whether its peer is closed. */
        if ((to->is_closed && !to->pair->is_held) || to->error < 0 || (to->is_deaf && to->pair->is_tcp))
                return;
        if (to->end_is_sent && to->end_error < 0)
                return;
        const uint64_t at = world_now() + delay_usec + link_delay(to->link);
        to->end_is_sent = true;
        to->end_error = error;
        to->end_closes |= closes;
        to->end_at = to->last_at = MAX(at, to->last_at);
        deliver(to);
}

/* What an end does. */

static void end_init(Pair *p, TestSocket *s, TestSocket *peer)
{
        s->pair = p;
        s->peer = peer;
        s->fd = -1;
        s->delivery = (WorldCall){.fn = on_delivery, .userdata = s};
        heap_item_init(&s->delivery.item);
        silence_init(s);
}

static Pair *pair_new(void)
{
        Pair *p = calloc(1, sizeof *p);

        assert(p);
        p->number = ++last_number;
        end_init(p, p->ends, p->ends + 1);
        end_init(p, p->ends + 1, p->ends);
        DL_APPEND(pairs, p);
        return p;
}

TestSocket *socket_new_pair(const char *address)
{
        HOST_SCOPE;
        Pair *p = pair_new();

        strcpy(p->address, address);
        p->is_offered = p->is_held = true;
        return p->ends;
}

TestSocket *socket_connect(Process *from, Process *to, Machine *to_machine, const Address *address,
                uint64_t silence_usec)
{
        HOST_SCOPE;
        Pair *p = pair_new();
        TestSocket *own = p->ends, *other = p->ends + 1;

        (void) address_format(address, p->address);
        own->process = from;
        own->machine = process_machine(from);
        other->process = to;
        other->machine = to_machine;
        own->link = link_between(other->machine, own->machine);
        other->link = link_between(own->machine, other->machine);
        p->room = (size_t) world_random_between(room_min, room_max);
        p->is_tcp = address->kind == ADDRESS_TCP && own->link;
        if (p->is_tcp) {
                own->silence_usec = silence_usec;
                other->silence_usec = ACCEPTED_SILENCE_USEC;
        }
        net_tell(NET_OPENED, own, NULL, 0, 0);
        if (p->is_tcp)
                send_on(other, 0);
        else
                offer(other);
        silence_update(own);
        silence_update(other);
        return own;
}

static size_t room_for(const TestSocket *to)
{
        const size_t used = buffer_size(&to->received);

        if (!to->machine || !to->peer->machine)
                return SIZE_MAX;
        return used < to->pair->room ? to->pair->room - used : 0;
}

ssize_t socket_write(TestSocket *s, const void *data, size_t n)
{
        TestSocket *to = s->peer;

        if (s->error < 0)
                return s->error;
        if (!s->pair->is_tcp && (to->is_closed || s->peer_is_closed))
                return s->end_is_sent && s->end_error < 0 ? s->end_error : -EPIPE;
        if (!to->is_deaf && !to->is_closed) {
                HOST_SCOPE;
                const size_t room = room_for(to);

                if (n > room) {
                        s->is_blocked = true;
                        silence_update(s);
                }
                if (room == 0)
                        return -EAGAIN;
                n = MIN(n, room);
                assert(buffer_append(&to->received, data, n) >= 0);
                send_on(to, n);
        } else if (to->is_closed && !to->is_deaf) {
                HOST_SCOPE;
                send_on(to, n);
        }
        net_tell(NET_WRITTEN, s, data, n, 0);
        return (ssize_t) n;
}

void socket_consume(TestSocket *s, size_t n)
{
        TestSocket *writer = s->peer;

        buffer_consume(&s->received, n);
        if (!writer->is_blocked)
                return;
        writer->is_blocked = false;
        silence_update(writer);
        process_wake(writer->process);
}

void socket_shutdown(TestSocket *s)
{
        send_end(s->peer, 0, 0, false);
}

void socket_close(TestSocket *s, int error)
{
        Pair *p = s->pair;

        if (s->is_closed)
                return;
        const bool unread = socket_n_arrived(s) > 0;
        s->is_closed = true;
        if (!p->is_held)
                buffer_clear(&s->received);
        event_unset(&s->silence);
        if (s->machine && !machine_is_on(s->machine))
                s->is_vanished = true;
        else if (s->error == 0)
                send_end(s->peer, unread && !p->is_held ? -ECONNRESET : error, 0, true);
        silence_update(s->peer);
        net_tell(NET_ENDED, s, NULL, 0, s->error);
        pair_check(p);
}

/* What was sent to this end is lost. */
static void lose(TestSocket *to)
{
        event_unset(&to->delivery);
        if (!to->is_closed)
                to->received.end -= to->on_the_way;
        to->on_the_way = 0;
        to->first_segment = to->n_segments = 0;
        to->end_is_sent = false;
        if (to == to->pair->ends + 1 && !to->pair->is_offered) {
                to->pair->is_offered = to->is_closed = true;
                net_tell(NET_ENDED, to, NULL, 0, to->error);
        }
}

void socket_give_up(TestSocket *s, int error)
{
        s->error = error;
        lose(s->peer);
        send_end(s->peer, -ECONNRESET, 0, true);
        process_wake(s->process);
}

void socket_reset(Pair *p, int error)
{
        for (unsigned i = 0; i < 2; i++) {
                TestSocket *s = p->ends + i;

                lose(s);
                if (s->is_closed || s->error < 0)
                        continue;
                s->error = error;
                s->peer_is_shut = s->peer_is_closed = true;
                silence_update(s);
                process_wake(s->process);
        }
}

bool socket_is_hung_up(const TestSocket *s)
{
        return s->error < 0 || (s->peer_is_closed && !s->pair->is_tcp);
}

/* What happens to machines and links. */

void sockets_changed(void)
{
        Pair *p, *next;

        DL_FOREACH_SAFE(pairs, p, next) {
                for (unsigned i = 0; i < 2; i++) {
                        deliver(p->ends + i);
                        silence_update(p->ends + i);
                }
                pair_check(p);
        }
}

/* A machine that is on again does not know the connections of before. It answers what peers send again, or
 * their next probe. */
void sockets_power_on(Machine *m)
{
        Pair *p;

        DL_FOREACH(pairs, p)
                for (unsigned i = 0; i < 2; i++)
                        if (p->ends[i].is_vanished && p->ends[i].machine == m)
                                send_end(p->ends[i].peer, -ECONNRESET, world_random(RETRANSMIT_USEC), true);
}
