/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/str-util.h"
#include "runtime/connection.h"
#include "world/inside.h"

#define PENDING_MAX 64

typedef struct Bound {
        int fd, pending[PENDING_MAX];
        size_t n_pending;
        char address[ADDRESS_STRING_MAX];
        struct Bound *prev, *next;
} Bound;

static Bound *bound;
static uint16_t next_port;
static char **used; /* all addresses of past and present listeners */

static void free_used(void *p)
{
        used = strv_free(used);
}

void listen_world_begin(void)
{
        bound = NULL;
        next_port = 20000;
        used = NULL;
        world_free_at_end(free_used, NULL);
}

static Bound *find(const char *address)
{
        Bound *b;

        DL_FOREACH(bound, b)
                if (strcmp(b->address, address) == 0)
                        return b;
        return NULL;
}

bool listener_exists(const char *address, int *ret_fd)
{
        const Bound *b = find(address);

        if (b && ret_fd)
                *ret_fd = b->fd;
        return b;
}

bool listener_is_closed(const char *address)
{
        if (find(address))
                return false;
        for (char **u = used; u && *u; u++)
                if (str_equal(*u, address))
                        return true;
        return false;
}

const char *listener_address(int fd)
{
        Bound *b;

        DL_FOREACH(bound, b)
                if (b->fd == fd)
                        return b->address;
        return NULL;
}

bool listener_offer(const char *address, int fd)
{
        Bound *b = find(address);

        if (!b)
                return false;
        assert(b->n_pending < PENDING_MAX);
        b->pending[b->n_pending++] = fd;
        return true;
}

static bool is_ready(int fd, uint32_t events, void *userdata)
{
        return ((Bound *) userdata)->n_pending > 0;
}

int listeners_inherit(ListenerSet *set, Error *error)
{
        return 0;
}

int listeners_bind(ListenerSet *set, const Address *address, unsigned unix_mode, Error *error)
{
        Address real = *address;
        Bound *b = calloc(1, sizeof *b);

        assert(b);
        if (real.kind == ADDRESS_TCP && real.port == 0)
                real.port = next_port++;
        (void) address_format(&real, b->address);
        if (find(b->address)) {
                int r = error_set(error, -EADDRINUSE, "cannot listen on %s: %s", b->address,
                                strerror(EADDRINUSE));
                free(b);
                return r;
        }
        assert(strv_append(&used, b->address) >= 0);
        b->fd = fd_new(is_ready, b);
        DL_APPEND(bound, b);
        set->listeners = reallocarray(set->listeners, set->n + 1, sizeof *set->listeners);
        assert(set->listeners);
        set->listeners[set->n++] = (Listener){.fd = b->fd, .address = real};
        return 0;
}

int listener_accept(const Listener *l)
{
        Bound *b = fd_userdata(l->fd);
        int fd;

        if (!b || b->n_pending == 0)
                return -EAGAIN;
        fd = b->pending[0];
        memmove(b->pending, b->pending + 1, --b->n_pending * sizeof b->pending[0]);
        return fd;
}

void listeners_clear(ListenerSet *set)
{
        for (size_t i = 0; i < set->n; i++) {
                Bound *b = fd_userdata(set->listeners[i].fd);

                if (!b)
                        continue;
                for (size_t k = 0; k < b->n_pending; k++)
                        connection_refuse(b->pending[k], "", 0);
                fd_free(b->fd);
                DL_DELETE(bound, b);
                free(b);
        }
        free(set->listeners);
        *set = (ListenerSet){};
}
