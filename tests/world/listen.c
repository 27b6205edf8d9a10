/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "runtime/connection.h"
#include "world/bound.h"
#include "world/socket.h"

#define BACKLOG       512u
#define PORT_FIRST    20000u
#define PORT_LAST     60000u
#define PENDING_FIRST 16u

static Bound *bounds;
static uint16_t next_port;

void listen_world_begin(void)
{
        bounds = NULL;
        next_port = PORT_FIRST;
}

void bound_world_end(void)
{
        Bound *b, *next;

        HASH_ITER(hh, bounds, b, next) {
                http_drop_waiting(b);
                HASH_DEL(bounds, b);
                owned_remove(&b->owned);
                free(b->pending);
                free(b);
        }
}

/* Which. */

static Machine *machine_at(Machine *from, const Address *a)
{
        if (a->kind == ADDRESS_UNIX)
                return machine_of_path(a->host);
        if (address_is_local(a) || address_is_wildcard(a))
                return from;
        return machine_of_ip(a->host);
}

static Bound *find(const Machine *m, const Address *a)
{
        char text[ADDRESS_STRING_MAX], key[sizeof((Bound *) NULL)->key];
        Bound *b;

        (void) address_format(a, text);
        if (m && a->kind == ADDRESS_TCP)
                (void) snprintf(key, sizeof key, "%s|%s", machine_name(m), text);
        else
                strcpy(key, text);
        HASH_FIND_STR(bounds, key, b);
        return b;
}

Bound *bound_find(Machine *from, const Address *address, Machine **ret_to)
{
        static const char *const wildcards[] = {"0.0.0.0", "::"};
        Machine *to = machine_at(from, address);
        Address any = *address;
        Bound *b = find(to, address), *other;

        if (ret_to)
                *ret_to = to;
        for (size_t i = 0;
                        to && address->kind == ADDRESS_TCP && !bound_is_open(b) && i < ELEMENTSOF(wildcards);
                        i++) {
                strcpy(any.host, wildcards[i]);
                other = find(to, &any);
                if (bound_is_open(other))
                        b = other;
        }
        return b;
}

Bound *bound_of_fd(int fd)
{
        for (Bound *b = bounds; b; b = b->hh.next)
                if (b->fd == fd)
                        return b;
        return NULL;
}

bool bound_is_open(const Bound *b)
{
        return b && (b->fd >= 0 || b->is_kept);
}

bool bound_is_full(const Bound *b)
{
        return b->n_pending >= BACKLOG;
}

/* Its connections. */

static bool is_ready(int fd, uint32_t events, void *userdata)
{
        return ((Bound *) userdata)->n_pending > 0;
}

static TestSocket *pop(Bound *b)
{
        TestSocket *s = b->pending[b->first_pending++];

        if (--b->n_pending == 0)
                b->first_pending = 0;
        return s;
}

static void push(Bound *b, TestSocket *s)
{
        HOST_SCOPE;

        if (b->first_pending > 0) {
                memmove(b->pending, b->pending + b->first_pending, b->n_pending * sizeof b->pending[0]);
                b->first_pending = 0;
        }
        if (b->n_pending == b->n_allocated) {
                b->n_allocated = MAX(2 * b->n_allocated, PENDING_FIRST);
                b->pending = reallocarray(b->pending, b->n_allocated, sizeof b->pending[0]);
                assert(b->pending);
        }
        b->pending[b->n_pending++] = s;
}

bool listener_offer(TestSocket *s)
{
        Address address;
        Bound *b;

        (void) address_parse(s->pair->address, &address, NULL);
        b = bound_find(s->peer->machine, &address, NULL);
        if (!bound_is_open(b) || bound_is_full(b))
                return false;
        s->process = b->process;
        push(b, s);
        if (b->fd >= 0)
                process_wake(b->process);
        return true;
}

int listener_accept(const Listener *l)
{
        kill_point();
        Bound *b = fd_userdata(l->fd);

        if (!b || b->n_pending == 0)
                return -EAGAIN;
        return socket_accept(pop(b));
}

/* A listener that is closed resets those that wait. */
static void refuse_pending(Bound *b)
{
        while (b->n_pending > 0)
                socket_close(pop(b), b->machine ? -ECONNRESET : 0);
}

static void closed(Bound *b)
{
        if (b->fd >= 0)
                fd_free(b->fd);
        b->fd = -1;
        if (b->is_kept)
                return;
        refuse_pending(b);
        http_drop_waiting(b);
}

static void reclaim(Owned *o)
{
        closed(CONTAINER_OF(o, Bound, owned));
}

void bound_power_off(Machine *m)
{
        for (Bound *b = bounds; b; b = b->hh.next)
                if (b->machine == m) {
                        refuse_pending(b);
                        http_drop_waiting(b);
                        b->has_file = b->is_kept; /* the directory is in memory */
                }
}

/* Listening. */

static Bound *bound_new(Machine *m, const Address *a)
{
        HOST_SCOPE;
        Bound *b = calloc(1, sizeof *b);

        assert(b);
        (void) address_format(a, b->address);
        if (m && a->kind == ADDRESS_TCP)
                (void) snprintf(b->key, sizeof b->key, "%s|%s", machine_name(m), b->address);
        else
                strcpy(b->key, b->address);
        b->machine = m;
        b->fd = -1;
        HASH_ADD_STR(bounds, key, b);
        return b;
}

void net_keep_listening(const char *address, bool keep)
{
        Address a;
        Bound *b;

        assert(address_parse(address, &a, NULL) >= 0);
        Machine *m = machine_at(NULL, &a);
        b = find(m, &a);
        if (!b)
                b = bound_new(m, &a);
        b->is_kept = keep;
        b->has_file |= keep;
        if (!keep && b->fd < 0) {
                b->has_file = false;
                closed(b);
        }
}

static int refusal(Machine *own, const Address *a, Bound *b)
{
        if (b && b->fd >= 0)
                return -EADDRINUSE;
        if (own && machine_at(own, a) != own)
                return a->kind == ADDRESS_TCP ? -EADDRNOTAVAIL : -ENOENT;
        return 0;
}

int listeners_bind(ListenerSet *set, const Address *address, unsigned unix_mode, Error *error)
{
        kill_point();
        Process *p = process_current();
        Machine *own = process_machine(p);
        Address real = *address;
        char text[ADDRESS_STRING_MAX];

        if (real.kind == ADDRESS_TCP && real.port == 0) {
                real.port = next_port++;
                if (next_port > PORT_LAST)
                        next_port = PORT_FIRST;
        }
        Machine *m = own ? own : machine_at(NULL, &real);
        Bound *b = find(m, &real);
        int r = refusal(own, &real, b);
        Listener *grown = r >= 0 ? reallocarray(set->listeners, set->n + 1, sizeof *grown) : NULL;
        if (r >= 0 && !grown)
                r = -ENOMEM;
        if (r < 0)
                return error_set(error, r, "cannot listen on %s: %s", address_format(&real, text),
                                strerror(-r));
        set->listeners = grown;
        if (!b)
                b = bound_new(m, &real);
        b->process = p;
        b->has_file = real.kind == ADDRESS_UNIX;
        b->fd = fd_new(is_ready, b);
        owned_add(&b->owned, reclaim);
        set->listeners[set->n++] = (Listener){.fd = b->fd, .address = real, .inherited = b->is_kept};
        return 0;
}

bool listener_is_lost(const Listener *l)
{
        const Bound *b = fd_userdata(l->fd);

        return l->address.kind == ADDRESS_UNIX && b && !b->has_file && !b->is_kept;
}

int listener_renew(Listener *l, Error *error)
{
        Bound *b = fd_userdata(l->fd);

        b->has_file = true;
        return 0;
}

void world_remove_file(const char *address)
{
        Address a;

        assert(address_parse(address, &a, NULL) >= 0);
        find(NULL, &a)->has_file = false;
}

bool world_has_file(const char *address)
{
        Address a;

        assert(address_parse(address, &a, NULL) >= 0);
        const Bound *b = find(NULL, &a);
        return b && b->has_file;
}

int listeners_inherit(ListenerSet *set, Error *error)
{
        return 0;
}

void listeners_clear(ListenerSet *set)
{
        for (size_t i = 0; i < set->n; i++) {
                Bound *b = fd_userdata(set->listeners[i].fd);

                if (!b)
                        continue;
                owned_remove(&b->owned);
                closed(b);
                b->has_file = b->is_kept;
        }
        free(set->listeners);
        *set = (ListenerSet){};
}
