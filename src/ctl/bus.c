/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/bus.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str-util.h"
#include "ctl/agent.h"
#include "ctl/print.h"
#include "ctl/unit.h"

#define MAY                                                                                                 \
        "only root, the group ackgroup, and users that a polkit rule allows may do that (see ackctl(1), "   \
        "AUTHORIZATION)"

/* What an error means. `name` with a dot at its end: a prefix of names. `verb`: the advice is this verb of
 * systemctl. */
typedef struct Meaning {
        const char *name;
        ExitCode code;
        const char *advice, *verb;
} Meaning;

static const Meaning meanings[] = {
                {"org.ackgroup.Error.InvalidArgument", EXIT_USAGE},
                {"org.ackgroup.Error.NoSuchReceiver", EXIT_NOT_FOUND, "\"ackctl list\" shows the receivers"},
                {"org.ackgroup.Error.AmbiguousReceiver", EXIT_NOT_FOUND,
                                "\"ackctl list\" shows the receivers"},
                {"org.ackgroup.Error.NoSuchMessage", EXIT_NOT_FOUND, "\"ackctl messages\" shows them"},
                {"org.ackgroup.Error.AmbiguousMessage", EXIT_NOT_FOUND, "\"ackctl messages\" shows them"},
                {"org.ackgroup.Error.OutboxFull", EXIT_FAILED,
                                "try later, look at \"ackctl dead list\", or raise OutboxLimit="},
                {"org.ackgroup.Error.Timeout", EXIT_TIMEOUT},
                {SD_BUS_ERROR_ACCESS_DENIED, EXIT_FAILED, MAY},
                {SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_FAILED, MAY},
                {SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_NO_SERVICE, .verb = "start"},
                {SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_NO_SERVICE, .verb = "start"},
                {UNIT_FAILED, EXIT_NO_SERVICE, .verb = "status"},
                {"org.freedesktop.systemd1.", EXIT_NO_SERVICE, .verb = "status"},
                {"org.freedesktop.DBus.Error.Spawn.", EXIT_NO_SERVICE, .verb = "status"},
                {SD_BUS_ERROR_NO_REPLY, EXIT_NO_SERVICE, .verb = "status"},
                {SD_BUS_ERROR_TIMEOUT, EXIT_NO_SERVICE, .verb = "status"},
                {"org.freedesktop.DBus.Error.TimedOut", EXIT_NO_SERVICE, .verb = "status"},
                {SD_BUS_ERROR_DISCONNECTED, EXIT_NO_SERVICE},
};

static int open_bus(Ctl *c, bool session)
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
        c->event = sd_event_unref(c->event);
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

/* True if a client runs, or the bus starts one; `error` is from unit_ping(). An error of systemd means that
 * the unit is masked or missing. */
static bool is_provided(const sd_bus_error *error)
{
        return !sd_bus_error_is_set(error) ||
               !(bus_is_gone(error) || str_after_prefix(error->name, "org.freedesktop.systemd1."));
}

/* Connects to the client on another host or in a container. */
static int connect_elsewhere(Ctl *c)
{
        const char *name;
        int r = open_bus(c, c->user);

        if (r >= 0)
                r = sd_bus_get_unique_name(c->bus, &name); /* waits for the connection */
        if (r >= 0)
                return 0;
        return c->host ? ctl_fail(EXIT_NO_SERVICE,
                                         "cannot connect to the bus of host %s: %s; see what \"ssh %s "
                                         "systemctl status dbus\" says",
                                         c->host, strerror(-r), c->host)
                       : ctl_fail(EXIT_NO_SERVICE,
                                         "cannot connect to the bus of container %s: %s; \"machinectl "
                                         "list\" shows the containers",
                                         c->machine, strerror(-r));
}

/* If the session bus has the service, takes that bus, and what unit_ping() says of it, and returns true. */
static bool try_session_bus(Ctl *c, sd_bus_error *error)
{
        _cleanup_(sd_bus_error_free) sd_bus_error other = SD_BUS_ERROR_NULL;
        sd_bus *first = TAKE_PTR(c->bus);
        bool provided = false;

        if (open_bus(c, true) >= 0) {
                unit_ping(c, &other);
                provided = is_provided(&other);
        }
        if (provided) {
                sd_bus_error_free(error);
                (void) sd_bus_error_move(error, &other);
                sd_bus_flush_close_unref(first);
                return true;
        }
        sd_bus_flush_close_unref(c->bus);
        c->bus = first;
        c->on_session_bus = false;
        return false;
}

static const Meaning *find_meaning(const sd_bus_error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(meanings); i++) {
                const char *name = meanings[i].name;
                bool family = name[strlen(name) - 1] == '.';

                if (family ? str_after_prefix(error->name, name) != NULL
                           : sd_bus_error_has_name(error, name) != 0)
                        return meanings + i;
        }
        return NULL;
}

/* Connects to the client on this host. Returns 0 or an exit code. */
static int connect_here(Ctl *c)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bool choose = !c->user && !c->system;
        int r = open_bus(c, c->user);

        if (r >= 0)
                unit_ping(c, &error);
        if (choose && (r < 0 || !is_provided(&error)) && try_session_bus(c, &error))
                r = 0;
        if (r < 0)
                return ctl_fail(EXIT_NO_SERVICE, "cannot connect to the %s bus: %s",
                                c->user ? "session" : "system", strerror(-r));
        /* What only another start would help with. The rest is told at the call of the verb. */
        const Meaning *m = sd_bus_error_is_set(&error) ? find_meaning(&error) : NULL;
        return m && str_equal(m->verb, "status") ? bus_explain(c, &error) : 0;
}

int bus_connect(Ctl *c)
{
        int r = c->host || c->machine ? connect_elsewhere(c) : connect_here(c);

        if (r != 0)
                return r;
        r = sd_event_default(&c->event);
        if (r >= 0)
                r = sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? ctl_fail(EXIT_FAILED, "cannot start: %s", strerror(-r)) : 0;
}

/* "abc: No message "abc" is known; "ackctl messages" shows them" */
static int tell(const Ctl *c, ExitCode code, const char *text, const char *advice)
{
        size_t n = strlen(text);

        /* Texts of the bus and of systemd end with a full stop. */
        while (n > 0 && text[n - 1] == '.')
                n--;
        return ctl_fail(code, "%s%s%.*s%s%s", c->about ?: "", c->about ? ": " : "", (int) n, text,
                        advice ? "; " : "", advice ?: "");
}

int bus_explain(const Ctl *c, const sd_bus_error *error)
{
        const Meaning *m = find_meaning(error);
        _cleanup_free_ char *systemctl = NULL;

        if (m && m->verb)
                systemctl = str_format("%s: systemctl %s%s%s%s%s ackgroup-client",
                                str_equal(m->verb, "start") ? "start it" : "see",
                                c->on_session_bus || c->user ? "--user " : "",
                                c->host      ? "-H "
                                : c->machine ? "-M "
                                             : "",
                                c->host ?: c->machine ?: "", c->host || c->machine ? " " : "", m->verb);
        return tell(c, m ? m->code : EXIT_FAILED, error->message ?: error->name,
                        systemctl ? systemctl
                        : m       ? m->advice
                                  : NULL);
}

int bus_new_call(Ctl *c, sd_bus_message **ret, const char *method)
{
        return sd_bus_message_new_method_call(c->bus, ret, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, method);
}

/* True if a person at this terminal can type a password. */
static bool can_ask(Ctl *c)
{
        if (c->no_ask_password || c->on_session_bus || c->host || c->machine || geteuid() == 0 ||
                        !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return false;
        if (c->agent == 0)
                c->agent = agent_start();
        return c->agent > 0;
}

/* Repeats the call, and lets polkit ask for a password. */
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

/* True if every call of this method would be denied, with any arguments. */
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

int bus_call_if_known(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret, bool *ret_known)
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
        *ret_known = !sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD);
        if (r >= 0 || !*ret_known)
                return 0;
        if (!sd_bus_error_is_set(&error))
                (void) sd_bus_error_set_errno(&error, r);
        r = bus_explain(c, &error);
        c->hopeless = r == EXIT_NO_SERVICE || is_denied(&error);
        return r;
}

int bus_call(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret)
{
        bool known;
        int r = bus_call_if_known(c, made, call, ret, &known);

        return r != 0 || known ? r
                               : ctl_fail(EXIT_FAILED, "the client is older, and has no method %s",
                                                 sd_bus_message_get_member(call));
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

int bus_call_newest(Ctl *c, const char *method, const char *older, const char *word, sd_bus_message **ret,
                bool *ret_older)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        bool known;
        int r;

        r = bus_new_call(c, &call, method);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", word);
        r = bus_call_if_known(c, r, call, ret, &known);
        *ret_older = r == 0 && !known;
        return *ret_older ? bus_call_word(c, older, word, ret) : r;
}

int bus_get_properties(Ctl *c, const char *path, const char *interface, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(
                        c->bus, &call, BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", interface);
        return bus_call(c, r, call, ret);
}

int bus_bad_answer(void)
{
        return ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
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
