/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "world/inside.h"
#include "world/names.h"
#include "world/net.h"
#include "world/scheduler.h"

typedef struct Name {
        char *name;
        char *ips[LOOKUP_MAX];
        unsigned n;
        uint64_t delay_usec;
        struct Name *next;
} Name;

static Name *names;

struct Lookup {
        Source source;
        Owned owned;
        WorldCall arrival;
        Address address;
        bool is_done;
        void (*done)(const LookupAnswer *answer, void *userdata);
        void *userdata;
};

static void name_clear(Name *n)
{
        for (unsigned i = 0; i < n->n; i++)
                free(n->ips[i]);
        n->n = 0;
}

void names_world_end(void)
{
        for (Name *n; (n = names);) {
                names = n->next;
                name_clear(n);
                free(n->name);
                free(n);
        }
}

static Name *find(const char *name)
{
        Name *n = names;

        while (n && strcmp(n->name, name) != 0)
                n = n->next;
        return n;
}

void net_set_name(const char *name, const char *const *ips, uint64_t delay_usec)
{
        HOST_SCOPE;
        Name *n = find(name);

        if (!n) {
                n = calloc(1, sizeof *n);
                assert(n);
                n->name = strdup(name);
                n->next = names;
                names = n;
        }
        name_clear(n);
        for (; ips && ips[n->n]; n->n++) {
                assert(n->n < LOOKUP_MAX);
                n->ips[n->n] = strdup(ips[n->n]);
        }
        n->delay_usec = delay_usec;
}

uint64_t name_delay(const char *name)
{
        const Name *n = find(name);

        return n ? n->delay_usec : 0;
}

void name_look_up(const Address *address, LookupAnswer *ret)
{
        static char loopback[] = "127.0.0.1";
        Name local = {.ips = {loopback}, .n = 1};
        const Name *n = find(address->host);
        Address a = *address;

        *ret = (LookupAnswer){};
        if (!n && str_equal(address->host, "localhost"))
                n = &local;
        for (unsigned i = 0; n && i < n->n; i++) {
                str_copy(a.host, sizeof a.host, n->ips[i]);
                if (address_to_sockaddr(&a, &ret->endpoints[ret->n].address, &ret->endpoints[ret->n].size) >=
                                0)
                        ret->n++;
        }
        if (ret->n == 0)
                ret->error = -EHOSTUNREACH;
}

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, Lookup, source)->is_done;
}

static void on_ready(Source *s)
{
        Lookup *l = CONTAINER_OF(s, Lookup, source);
        LookupAnswer answer;

        l->is_done = false;
        name_look_up(&l->address, &answer);
        l->done(&answer, l->userdata);
}

static void on_arrival(void *userdata)
{
        Lookup *l = userdata;

        l->is_done = true;
        loop_wake(l->source.loop);
}

static void reclaim(Owned *o)
{
        Lookup *l = CONTAINER_OF(o, Lookup, owned);

        event_unset(&l->arrival);
        source_remove(&l->source);
        free(l);
}

int lookup_start(Loop *loop, const Address *address,
                void (*done)(const LookupAnswer *answer, void *userdata), void *userdata, Lookup **ret)
{
        kill_point();
        if (!world_has_memory())
                return -ENOMEM;
        /* A unit test needs no names, unless it has set them. */
        if (!process_current() && !find(address->host))
                return -EHOSTUNREACH;
        HOST_SCOPE;
        Lookup *l = calloc(1, sizeof *l);

        assert(l);
        l->address = *address;
        l->done = done;
        l->userdata = userdata;
        l->arrival = (WorldCall){.fn = on_arrival, .userdata = l};
        heap_item_init(&l->arrival.item);
        source_add(&l->source, loop, is_ready, on_ready);
        owned_add(&l->owned, reclaim);
        if (process_current())
                event_set(&l->arrival, world_now() + name_delay(address->host));
        else
                l->is_done = true;
        *ret = l;
        return 0;
}

Lookup *lookup_free(Lookup *l)
{
        if (!l)
                return NULL;
        owned_remove(&l->owned);
        reclaim(&l->owned);
        return NULL;
}
