/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/caller.h"

#include <errno.h>
#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"

#define BUS_ITSELF "org.freedesktop.DBus"

/* Without callers, connections that come and go do not wake the client. */
static void caller_free(Caller *c)
{
        ClientBus *b = c->bus;

        HASH_DELETE(hh, b->callers.by_name, c);
        sd_bus_slot_unref(c->question);
        free(c->name);
        free(c);
        if (b->callers.by_name)
                return;
        b->callers.match = sd_bus_slot_unref(b->callers.match);
        b->callers.told = b->callers.refused = false;
}

static void release(CallerItem *item)
{
        Caller *c = item->caller;

        DL_DELETE(c->items, item);
        item->caller = NULL;
}

static void leave(Caller *c)
{
        CallerItem *item;

        while ((item = c->items)) {
                release(item);
                item->gone(item, item->userdata);
        }
        caller_free(c);
}

static int on_owner_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        const char *name, *before, *now;
        Caller *c = NULL;

        if (sd_bus_message_read(signal, "sss", &name, &before, &now) < 0 || !str_empty(now))
                return 0;
        HASH_FIND(hh, b->callers.by_name, name, strlen(name), c);
        if (c)
                leave(c);
        return 0;
}

/* From here on the bus tells when a caller leaves, and it does so behind all of its calls. */
static int on_told(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        ClientBus *b = userdata;

        if (e && sd_bus_is_open(b->bus) > 0)
                log_warning("The bus does not tell when callers leave: %s", e->message);
        b->callers.told = !e;
        b->callers.refused = e;
        return 0;
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        Caller *c = userdata;

        c->question = sd_bus_slot_unref(c->question);
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                leave(c);
        return 0;
}

static int watch(ClientBus *b)
{
        if (b->callers.refused) /* the last time */
                b->callers.match = sd_bus_slot_unref(b->callers.match);
        b->callers.refused = false;
        return b->callers.match ? 0
                                : sd_bus_match_signal_async(b->bus, &b->callers.match, BUS_ITSELF,
                                                  "/org/freedesktop/DBus", BUS_ITSELF, "NameOwnerChanged",
                                                  on_owner_changed, on_told, b);
}

/* It may have left before the bus was asked to tell, or while its call waited for something else. */
static int ask(Caller *c, sd_bus_message *call)
{
        if (c->bus->callers.told && sd_bus_get_current_message(c->bus->bus) == call)
                return 0;
        return sd_bus_call_method_async(c->bus->bus, &c->question, BUS_ITSELF, "/org/freedesktop/DBus",
                        BUS_ITSELF, "GetNameOwner", on_owner, c, "s", c->name);
}

static int caller_new(ClientBus *b, sd_bus_message *call, const char *name, Caller **ret)
{
        Caller *c = calloc(1, sizeof *c);
        int r = c ? str_replace(&c->name, name) : -ENOMEM;

        if (r < 0) {
                free(c);
                return r;
        }
        c->bus = b;
        HASH_ADD_KEYPTR(hh, b->callers.by_name, c->name, strlen(c->name), c);
        r = watch(b);
        if (r >= 0)
                r = ask(c, call);
        if (r < 0) {
                caller_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

int bus_caller_keep(ClientBus *b, sd_bus_message *call, CallerItem *item)
{
        const char *name = sd_bus_message_get_sender(call);
        Caller *c = NULL;
        int r = 0;

        if (!name)
                return 0;
        if (sd_bus_message_get_bus(call) != b->bus) /* that connection is lost */
                return -ENOTCONN;
        HASH_FIND(hh, b->callers.by_name, name, strlen(name), c);
        if (!c)
                r = caller_new(b, call, name, &c);
        if (r < 0)
                return r;
        item->caller = c;
        DL_APPEND(c->items, item);
        return 0;
}

void bus_callers_leave(ClientBus *b)
{
        Caller *c, *next;

        HASH_ITER(hh, b->callers.by_name, c, next)
                leave(c);
}

void bus_caller_release(CallerItem *item)
{
        Caller *c = item->caller;

        if (!c)
                return;
        release(item);
        if (!c->items)
                caller_free(c);
}
