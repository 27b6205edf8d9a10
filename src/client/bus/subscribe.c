/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/subscribe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/str-util.h"
#include "client/bus/caller.h"
#include "client/bus/reply.h"

#define SUBSCRIBERS_MAX 1024u

struct Subscriber {
        ClientBus *bus;
        char *name;
        CallerItem caller;
        UT_hash_handle hh;
};

static void subscriber_free(Subscriber *s)
{
        ClientBus *b = s->bus;

        HASH_DELETE(hh, b->subscribe.by_name, s);
        bus_caller_release(&s->caller);
        free(s->name);
        free(s);
}

static void on_caller_gone(CallerItem *item, void *userdata)
{
        subscriber_free(userdata);
}

void bus_subscribe_clear(ClientBus *b)
{
        Subscriber *s, *next;

        HASH_ITER(hh, b->subscribe.by_name, s, next)
                subscriber_free(s);
}

bool bus_has_subscribers(const ClientBus *b)
{
        return b->subscribe.by_name;
}

static Subscriber *find(const ClientBus *b, sd_bus_message *call)
{
        const char *name = sd_bus_message_get_sender(call) ?: "";
        Subscriber *s;

        HASH_FIND(hh, b->subscribe.by_name, name, strlen(name), s);
        return s;
}

static int subscriber_new(ClientBus *b, sd_bus_message *call)
{
        Subscriber *s = calloc(1, sizeof *s);
        int r = s ? str_replace(&s->name, sd_bus_message_get_sender(call) ?: "") : -ENOMEM;

        if (r < 0) {
                free(s);
                return r;
        }
        s->bus = b;
        s->caller = (CallerItem){.gone = on_caller_gone, .userdata = s};
        HASH_ADD_KEYPTR(hh, b->subscribe.by_name, s->name, strlen(s->name), s);
        r = bus_caller_keep(b, call, &s->caller);
        if (r < 0)
                subscriber_free(s);
        return r;
}

int bus_method_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        int r;

        if (find(b, call))
                return sd_bus_reply_method_return(call, NULL);
        if (HASH_COUNT(b->subscribe.by_name) >= SUBSCRIBERS_MAX)
                return bus_fail(call, "LimitExceeded", "%u programs have subscribed already",
                                SUBSCRIBERS_MAX);
        r = subscriber_new(b, call);
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

int bus_method_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Subscriber *s = find(userdata, call);

        if (!s)
                return bus_fail(call, "NotSubscribed", "The caller has not subscribed");
        subscriber_free(s);
        return sd_bus_reply_method_return(call, NULL);
}
