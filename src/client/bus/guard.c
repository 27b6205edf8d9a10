/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/guard.h"

#include <errno.h>
#include <unistd.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "client/bus/reply.h"

#define POLKIT        "org.freedesktop.PolicyKit1"
#define GUARDS_MAX    1024u /* waiting calls, in total */
#define OF_CALLER_MAX 64u

struct Guard {
        ClientBus *bus;
        sd_bus_message *call;
        const char *action;
        sd_bus_message_handler_t method;
        sd_bus_slot *slot; /* the question that is in progress */
        bool of_group;     /* the caller is in this service's group */
        Guard *prev, *next;
};

static void guard_free(Guard *g)
{
        DL_DELETE(g->bus->guard.waiting, g);
        g->bus->guard.n_waiting--;
        sd_bus_slot_unref(g->slot);
        sd_bus_message_unref(g->call);
        free(g);
}

static void pass(Guard *g)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = g->method(g->call, g->bus, &error);

        if (r < 0)
                (void) sd_bus_reply_method_errno(g->call, r, &error);
        sd_bus_error_free(&error);
        guard_free(g);
}

static void refuse(Guard *g, bool could_ask)
{
        (void) sd_bus_reply_method_errorf(g->call,
                        could_ask ? SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
                                  : SD_BUS_ERROR_ACCESS_DENIED,
                        "That needs the authorization org.ackgroup.client1.%s", g->action);
        guard_free(g);
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        static const char *const absent[] = {SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                        "org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.UnitMasked"};
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        Guard *g = userdata;
        int allowed = 0, could_ask = 0;
        bool runs = true;

        for (size_t i = 0; e && i < ELEMENTSOF(absent); i++)
                runs = runs && !sd_bus_error_has_name(e, absent[i]);
        if (!e && sd_bus_message_enter_container(reply, 'r', "bba{ss}") > 0)
                (void) sd_bus_message_read(reply, "bb", &allowed, &could_ask);
        if (e && runs) {
                (void) bus_fail(g->call, "Authorization", "polkit does not answer: %s", e->message);
                guard_free(g);
        } else if (allowed || (!runs && g->of_group))
                pass(g);
        else
                refuse(g, could_ask);
        return 0;
}

static int ask_polkit(Guard *g)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool interactive = sd_bus_message_get_allow_interactive_authorization(g->call) > 0;
        _cleanup_free_ char *action = str_format("org.ackgroup.client1.%s", g->action);
        int r;

        r = action ? sd_bus_message_new_method_call(g->bus->bus, &m, POLKIT,
                                     "/org/freedesktop/PolicyKit1/Authority", POLKIT ".Authority",
                                     "CheckAuthorization")
                   : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                sd_bus_message_get_sender(g->call), action, 0, (uint32_t) interactive, "");
        g->slot = sd_bus_slot_unref(g->slot);
        /* No timeout where a person may be asked for a password. */
        return r < 0 ? r
                     : sd_bus_call_async(
                                       g->bus->bus, &g->slot, m, on_polkit, g, interactive ? UINT64_MAX : 0);
}

static int read_credentials(sd_bus_message *reply, uint32_t *ret_uid, bool *ret_of_group)
{
        const uint32_t *groups;
        const char *name;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read(reply, "s", &name);
                if (r >= 0 && str_equal(name, "UnixUserID"))
                        r = sd_bus_message_read(reply, "v", "u", ret_uid);
                else if (r >= 0 && str_equal(name, "UnixGroupIDs")) {
                        r = sd_bus_message_enter_container(reply, 'v', "au");
                        if (r >= 0)
                                r = sd_bus_message_read_array(reply, 'u', (const void **) &groups, &size);
                        for (size_t i = 0; r >= 0 && i < size / sizeof *groups; i++)
                                *ret_of_group = *ret_of_group || groups[i] == getegid();
                        if (r >= 0)
                                r = sd_bus_message_exit_container(reply);
                } else if (r >= 0)
                        r = sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r;
}

/* A bus never uses the name of a connection twice, so a trusted name stays valid. */
static void trust(ClientBus *b, const char *sender)
{
        (void) str_replace(b->guard.trusted + b->guard.next_trusted, sender);
        b->guard.next_trusted = (b->guard.next_trusted + 1) % TRUSTED_MAX;
}

static bool is_trusted(const ClientBus *b, const char *sender)
{
        for (size_t i = 0; i < TRUSTED_MAX; i++)
                if (b->guard.trusted[i] && str_equal(b->guard.trusted[i], sender))
                        return true;
        return false;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        uint32_t uid = UINT32_MAX;
        Guard *g = userdata;
        int r = -EACCES;

        if (!sd_bus_message_is_method_error(reply, NULL))
                r = read_credentials(reply, &uid, &g->of_group);
        if (r < 0) /* the caller has gone */
                refuse(g, false);
        else if (uid == 0 || uid == geteuid()) {
                trust(g->bus, sd_bus_message_get_sender(g->call));
                pass(g);
        } else if (ask_polkit(g) < 0)
                refuse(g, false);
        return 0;
}

static unsigned count_of(const ClientBus *b, const char *sender)
{
        unsigned n = 0;

        for (const Guard *g = b->guard.waiting; g; g = g->next)
                n += str_equal(sd_bus_message_get_sender(g->call), sender);
        return n;
}

int bus_guard(ClientBus *b, sd_bus_message *call, const char *action, sd_bus_message_handler_t method)
{
        const char *sender = sd_bus_message_get_sender(call);
        Guard *g;
        int r;

        if (!b->system || !sender || is_trusted(b, sender))
                return method(call, b, NULL);
        if (b->guard.n_waiting >= GUARDS_MAX || count_of(b, sender) >= OF_CALLER_MAX)
                return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "Too many calls wait for an authorization");
        g = calloc(1, sizeof *g);
        if (!g)
                return -ENOMEM;
        *g = (Guard){.bus = b, .call = sd_bus_message_ref(call), .action = action, .method = method};
        DL_APPEND(b->guard.waiting, g);
        b->guard.n_waiting++;
        r = sd_bus_call_method_async(b->bus, &g->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                        "org.freedesktop.DBus", "GetConnectionCredentials", on_credentials, g, "s", sender);
        if (r < 0)
                guard_free(g);
        return r < 0 ? r : 1;
}

void bus_guard_clear(ClientBus *b)
{
        while (b->guard.waiting) {
                (void) bus_fail(b->guard.waiting->call, "Disconnected", "The client stops");
                guard_free(b->guard.waiting);
        }
        for (size_t i = 0; i < TRUSTED_MAX; i++)
                free_clear(&b->guard.trusted[i]);
}
