/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/bus.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str-util.h"
#include "ctl/agent.h"

#define MAY                                                                                                 \
        "root, the group ackgroup, and whom a polkit rule allows may do that (see ackctl(1), "              \
        "AUTHORIZATION)"

/* Error name (or what it begins with) → exit code and advice. */
static const struct {
        const char *name;
        ExitCode code;
        const char *advice;
} errors[] = {
                {"org.ackgroup.Error.InvalidArgument", EXIT_USAGE, NULL},
                {"org.ackgroup.Error.NoSuchReceiver", EXIT_NOT_FOUND, "\"ackctl list\" shows who is there"},
                {"org.ackgroup.Error.AmbiguousReceiver", EXIT_NOT_FOUND,
                                "\"ackctl list\" shows who is there"},
                {"org.ackgroup.Error.NoSuchMessage", EXIT_NOT_FOUND, "\"ackctl messages\" shows them"},
                {"org.ackgroup.Error.AmbiguousMessage", EXIT_NOT_FOUND, "\"ackctl messages\" shows them"},
                {"org.ackgroup.Error.OutboxFull", EXIT_FAILED,
                                "try later, look at \"ackctl dead list\", or raise OutboxLimit="},
                {"org.ackgroup.Error.Timeout", EXIT_TIMEOUT, NULL},
                {SD_BUS_ERROR_ACCESS_DENIED, EXIT_FAILED, MAY},
                {SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_FAILED, MAY},
                {SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_NO_SERVICE, "start it: systemctl start ackgroup-client"},
                {SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_NO_SERVICE,
                                "start it: systemctl start ackgroup-client"},
                {"org.freedesktop.systemd1.", EXIT_NO_SERVICE, "see: systemctl status ackgroup-client"},
                {"org.freedesktop.DBus.Error.Spawn.", EXIT_NO_SERVICE,
                                "see: systemctl status ackgroup-client"},
                {SD_BUS_ERROR_NO_REPLY, EXIT_NO_SERVICE, "see: systemctl status ackgroup-client"},
                {SD_BUS_ERROR_DISCONNECTED, EXIT_NO_SERVICE, NULL},
};

static int bus_open(Ctl *c, bool session)
{
        int r;

        if (c->host)
                r = sd_bus_open_system_remote(&c->bus, c->host);
        else if (c->machine)
                r = c->user ? sd_bus_open_user_machine(&c->bus, c->machine)
                            : sd_bus_open_system_machine(&c->bus, c->machine);
        else
                r = session ? sd_bus_open_user_with_description(&c->bus, "ackctl")
                            : sd_bus_open_system_with_description(&c->bus, "ackctl");
        c->on_session_bus = session;
        return r;
}

void bus_disconnect(Ctl *c)
{
        agent_stop(c->agent);
        c->agent = 0;
        c->bus = sd_bus_flush_close_unref(c->bus);
}

bool bus_is_gone(const sd_bus_error *error)
{
        static const char *const names[] = {
                        "org.ackgroup.Error.Disconnected",
                        SD_BUS_ERROR_SERVICE_UNKNOWN,
                        SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                        SD_BUS_ERROR_NO_REPLY,
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (sd_bus_error_has_name(error, names[i]))
                        return true;
        return false;
}

/* Somebody owns the name, or would be started by the first call. */
static bool is_provided(Ctl *c)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(
                        c->bus, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping", &error, NULL, NULL);

        /* A unit that is masked or missing is none. */
        return r >= 0 || !(bus_is_gone(&error) || str_after_prefix(error.name, "org.freedesktop.systemd1."));
}

/* Of another host or a container: it says how far away the mistake is. */
static int connect_elsewhere(Ctl *c)
{
        const char *name;
        int r = bus_open(c, c->user);

        if (r >= 0)
                r = sd_bus_get_unique_name(c->bus, &name); /* waits until it is connected */
        if (r >= 0)
                return 0;
        return c->host ? ctl_fail(EXIT_NO_SERVICE,
                                         "cannot connect to the bus of host %s: %s; see what \"ssh %s "
                                         "systemctl status dbus\" says",
                                         c->host, strerror(-r), c->host)
                       : ctl_fail(EXIT_NO_SERVICE,
                                         "cannot connect to the bus of container %s: %s; \"machinectl "
                                         "list\" shows who is there",
                                         c->machine, strerror(-r));
}

int bus_connect(Ctl *c)
{
        bool elsewhere = c->host || c->machine, choose = !c->user && !c->system && !elsewhere;
        int r = elsewhere ? connect_elsewhere(c) : bus_open(c, c->user), session;

        if (elsewhere && r != 0)
                return r;

        if (choose && (r < 0 || !is_provided(c))) {
                sd_bus *first = TAKE_PTR(c->bus);

                session = bus_open(c, true);
                if (session >= 0 && is_provided(c))
                        r = 0;
                else {
                        bus_disconnect(c);
                        c->bus = TAKE_PTR(first);
                        c->on_session_bus = false;
                }
                sd_bus_flush_close_unref(first);
        }
        if (r < 0)
                return ctl_fail(EXIT_NO_SERVICE, "cannot connect to the %s bus: %s",
                                c->user ? "session" : "system", strerror(-r));
        r = sd_event_default(&c->event);
        if (r >= 0)
                r = sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? ctl_fail(EXIT_FAILED, "cannot start: %s", strerror(-r)) : 0;
}

int bus_explain(const sd_bus_error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                bool family = errors[i].name[strlen(errors[i].name) - 1] == '.';

                if (family ? !str_after_prefix(error->name, errors[i].name)
                           : !sd_bus_error_has_name(error, errors[i].name))
                        continue;
                return ctl_fail(errors[i].code, "%s%s%s", error->message ?: error->name,
                                errors[i].advice ? "; " : "", errors[i].advice ?: "");
        }
        return ctl_fail(EXIT_FAILED, "%s", error->message ?: error->name);
}

int bus_new_call(Ctl *c, sd_bus_message **ret, const char *method)
{
        return sd_bus_message_new_method_call(c->bus, ret, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, method);
}

/* There is a person here who can be asked. */
static bool can_ask(Ctl *c)
{
        if (c->no_ask_password || c->on_session_bus || c->host || c->machine || geteuid() == 0 ||
                        !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return false;
        if (c->agent == 0)
                c->agent = agent_start();
        return c->agent > 0;
}

/* The same call once more, in which polkit may ask. */
static int call_interactively(Ctl *c, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *again = NULL;
        int r;

        r = bus_new_call(c, &again, sd_bus_message_get_member(call));
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_copy(again, call, true);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(again, true);
        return r < 0 ? r : sd_bus_call(c->bus, again, UINT64_MAX, error, ret);
}

/* It was for all that is like it, not for what it was about. */
static bool is_denied(const sd_bus_error *error)
{
        static const char *const names[] = {
                        SD_BUS_ERROR_ACCESS_DENIED,
                        SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                        "org.ackgroup.Error.Authorization",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (sd_bus_error_has_name(error, names[i]))
                        return true;
        return false;
}

int bus_call(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (made < 0)
                return ctl_fail(EXIT_FAILED, "cannot make the call: %s", strerror(-made));
        r = sd_bus_call(c->bus, call, 0, &error, ret);
        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED) && can_ask(c)) {
                sd_bus_error_free(&error);
                r = call_interactively(c, call, &error, ret);
        }
        c->hopeless = false;
        if (r >= 0)
                return 0;
        if (!sd_bus_error_is_set(&error))
                (void) sd_bus_error_set_errno(&error, r);
        r = bus_explain(&error);
        c->hopeless = r == EXIT_NO_SERVICE || is_denied(&error);
        return r;
}

int bus_call_word(Ctl *c, const char *method, const char *word, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = bus_new_call(c, &call, method);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", word);
        return bus_call(c, r, call, ret);
}

static int subscribe(Ctl *c, sd_bus_message_handler_t on_answer)
{
        return sd_bus_call_method_async(c->bus, NULL, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, "Subscribe",
                        on_answer, c, NULL);
}

static int on_new_owner(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        const char *name, *before, *now;

        if (sd_bus_message_read(signal, "sss", &name, &before, &now) >= 0 && !str_empty(now))
                (void) subscribe(userdata, NULL);
        return 0;
}

int bus_subscribe(Ctl *c, sd_bus_message_handler_t on_answer)
{
        int r = sd_bus_add_match_async(c->bus, NULL,
                        "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                        "member='NameOwnerChanged',arg0='" BUS_NAME "'",
                        on_new_owner, NULL, c);

        return r < 0 ? r : subscribe(c, on_answer);
}
