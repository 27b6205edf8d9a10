/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-fixture.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str-util.h"
#include "runtime/loop-event.h"

#define POLKIT "org.freedesktop.PolicyKit1.Authority"

/* Everybody else on the bus. */

static int on_credentials(sd_bus_message *call, Fixture *f)
{
        sd_bus_message *reply = NULL;

        f->n_asked++;
        if (f->hold_credentials)
                return 1;
        if (f->no_credentials)
                return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "it has gone");
        assert_true(sd_bus_message_new_method_return(call, &reply) >= 0);
        assert_true(sd_bus_message_append(reply, "a{sv}", 3, "ProcessID", "u", 1, "UnixUserID", "u", f->uid,
                                    "UnixGroupIDs", "au", 2, 4, f->gid) >= 0);
        assert_true(sd_bus_send(f->caller, reply, NULL) >= 0);
        sd_bus_message_unref(reply);
        return 1;
}

static int answer_polkit(Fixture *f, sd_bus_message *call)
{
        if (f->polkit_error)
                return sd_bus_reply_method_errorf(call, f->polkit_error, "no answer");
        return sd_bus_reply_method_return(call, "(bba{ss})", f->polkit_allows, f->polkit_could_ask, 0);
}

void release_polkit(Fixture *f)
{
        assert_true(answer_polkit(f, f->held) >= 0);
        f->held = sd_bus_message_unref(f->held);
}

static int on_polkit(sd_bus_message *call, Fixture *f)
{
        const char *kind, *key, *sender, *action;
        uint32_t flags = 0;

        f->n_polkit++;
        assert_true(sd_bus_message_read(call, "(sa{sv})s", &kind, 1, &key, "s", &sender, &action) >= 0);
        assert_string_equal(kind, "system-bus-name");
        assert_string_equal(sender, f->sender);
        assert_non_null(str_after_prefix(action, "org.ackgroup.client1."));
        assert_true(sd_bus_message_skip(call, "a{ss}") >= 0 && sd_bus_message_read(call, "u", &flags) >= 0);
        f->was_interactive = flags & 1;
        if (f->hold_polkit) {
                f->held = sd_bus_message_ref(call);
                return 1;
        }
        return answer_polkit(f, call);
}

static void note_signal(Fixture *f, sd_bus_message *m)
{
        const char *member = sd_bus_message_get_member(m), *word = "";

        if (sd_bus_message_is_signal(m, NULL, "MessageEvent"))
                (void) sd_bus_message_read(m, "ss", NULL, &word);
        else if (sd_bus_message_is_signal(m, NULL, "InterfacesAdded") ||
                        sd_bus_message_is_signal(m, NULL, "InterfacesRemoved"))
                (void) sd_bus_message_read(m, "o", &word);
        else if (sd_bus_message_is_signal(m, NULL, "PropertiesChanged"))
                word = sd_bus_message_get_path(m);
        else
                (void) sd_bus_message_read(m, "s", &word);
        assert_true(f->n_signals < LOG_MAX);
        f->signals[f->n_signals++] = str_format("%s %s", member, word);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Fixture *f = userdata;
        uint8_t type;

        assert_true(sd_bus_message_get_type(m, &type) >= 0);
        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "GetConnectionCredentials"))
                return on_credentials(m, f);
        if (sd_bus_message_is_method_call(m, POLKIT, "CheckAuthorization"))
                return on_polkit(m, f);
        if (type == SD_BUS_MESSAGE_SIGNAL)
                note_signal(f, m);
        return 0;
}

static void open_bus(Fixture *f)
{
        sd_bus *service;

        f->fake = fake_bus_new(&service, &f->caller);
        assert_true(sd_bus_add_filter(f->caller, NULL, on_message, f) >= 0);
        assert_true(sd_bus_attach_event(f->caller, loop_event(f->client.loop), 0) >= 0);
        assert_true(client_bus_attach(&f->bus, service) >= 0);
}

static Fixture *start(bool system, bool alone)
{
        Fixture *f = calloc(1, sizeof *f);
        Error error = {};

        assert_non_null(f);
        log_set_level(LOG_ERR);
        strcpy(f->directory, "/tmp/ackgroup-bus-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        f->sender = CALLER;
        f->list_status = 200;
        f->drain_status = 204;
        f->discovery_fd = -1;
        client_config_init(&f->client.config);
        f->client.config.discovery = str_format("unix:%s/d.sock", f->directory);
        f->client.config.state_directory = strdup(f->directory);
        f->client.config.history = 10;
        f->bus.client = &f->client;
        f->bus.system = system;
        const ClientObserver observer = client_bus_observer(&f->bus);
        assert_true(client_start(&f->client, &observer, &error) >= 0);
        strcpy(f->client.host, "here");
        if (!alone)
                peers_start(f);
        open_bus(f);
        UNTIL(f, f->bus.signals.named);
        return f;
}

Fixture *fixture_new(bool system)
{
        return start(system, false);
}

Fixture *fixture_new_alone(void)
{
        return start(false, true);
}

void fixture_iterate(Fixture *f)
{
        assert_true(loop_iterate(f->client.loop, 5 * USEC_PER_SEC) >= 0);
}

void fixture_stop(Fixture *f)
{
        client_stop(&f->client);
        client_bus_clear(&f->bus);
        f->closed = true;
}

void forget_signals(Fixture *f)
{
        while (f->n_signals > 0)
                free(f->signals[--f->n_signals]);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
        return remove(path);
}

void fixture_free(Fixture *f)
{
        if (!f->closed)
                fixture_stop(f);
        sd_bus_close_unref(f->caller);
        fake_bus_free(f->fake);
        peers_end(f);
        client_clear(&f->client);
        forget_signals(f);
        assert_int_equal(nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        free(f);
}

/* Calls. */

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Answer *a = userdata;

        a->m = sd_bus_message_ref(m);
        a->done = true;
        return 1;
}

void start_message(Fixture *f, Answer *a, sd_bus_message *call)
{
        *a = (Answer){};
        assert_true(sd_bus_message_set_sender(call, f->sender) >= 0);
        assert_true(sd_bus_call_async(f->caller, NULL, call, on_answer, a, 0) >= 0);
        sd_bus_message_unref(call);
}

static void start_va(Fixture *f, Answer *a, const char *path, const char *interface, const char *member,
                const char *types, va_list ap)
{
        sd_bus_message *m = NULL;

        assert_true(sd_bus_message_new_method_call(f->caller, &m, BUS_NAME, path, interface, member) >= 0);
        if (types)
                assert_true(sd_bus_message_appendv(m, types, ap) >= 0);
        start_message(f, a, m);
}

void start_call(Fixture *f, Answer *a, const char *member, const char *types, ...)
{
        va_list ap;

        va_start(ap, types);
        start_va(f, a, BUS_PATH, MANAGER_INTERFACE, member, types, ap);
        va_end(ap);
}

void start_object_call(Fixture *f, Answer *a, const char *path, const char *interface, const char *member,
                const char *types, ...)
{
        va_list ap;

        va_start(ap, types);
        start_va(f, a, path, interface, member, types, ap);
        va_end(ap);
}

static void wait_for(Fixture *f, Answer *a)
{
        UNTIL(f, a->done);
}

sd_bus_message *finish(Fixture *f, Answer *a)
{
        wait_for(f, a);
        const sd_bus_error *e = sd_bus_message_get_error(a->m);
        if (e)
                fail_msg("%s: %s", e->name, e->message);
        return a->m;
}

void finish_failed(Fixture *f, Answer *a, const char *name, const char *text)
{
        _cleanup_free_ char *full =
                        strchr(name, '.') ? strdup(name) : str_format("org.ackgroup.Error.%s", name);

        wait_for(f, a);
        const sd_bus_error *e = sd_bus_message_get_error(a->m);
        if (!e)
                fail_msg("%s was expected, and there is no error", name);
        assert_string_equal(e->name, full);
        if (!strstr(e->message, text))
                fail_msg("\"%s\" is not in: %s", text, e->message);
        a->m = sd_bus_message_unref(a->m);
}

char *send_text(Fixture *f, const char *mode, const char *target, const char *text)
{
        sd_bus_message *m = CALL(f, "SendText", "sssa{sv}", mode, target, text, 0);
        const char *id;

        assert_true(sd_bus_message_read(m, "s", &id) > 0);
        char *copy = strdup(id);
        sd_bus_message_unref(m);
        return copy;
}

void assert_end(Fixture *f, const char *id, const char *state)
{
        sd_bus_message *m = CALL(f, "Wait", "st", id, UINT64_C(0));
        const char *end;

        assert_true(sd_bus_message_read(m, "s", &end) > 0);
        assert_string_equal(end, state);
        sd_bus_message_unref(m);
}

char *path_of(Fixture *f, const char *id)
{
        sd_bus_message *m = CALL(f, "GetMessage", "s", id);
        const char *path;

        assert_true(sd_bus_message_read(m, "o", &path) > 0);
        char *copy = strdup(path);
        sd_bus_message_unref(m);
        return copy;
}

sd_bus_message *get_property(Fixture *f, const char *path, const char *interface, const char *name)
{
        const char *contents;
        Answer a;

        start_object_call(f, &a, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name);
        sd_bus_message *m = finish(f, &a);
        assert_true(sd_bus_message_peek_type(m, NULL, &contents) > 0);
        assert_true(sd_bus_message_enter_container(m, 'v', contents) > 0);
        return m;
}

void assert_property(
                Fixture *f, const char *path, const char *interface, const char *name, const char *expected)
{
        sd_bus_message *m = get_property(f, path, interface, name);
        _cleanup_free_ char *number = NULL;
        const char *text;
        uint64_t u64;
        uint32_t u32;
        char type;
        int flag;

        assert_true(sd_bus_message_peek_type(m, &type, NULL) > 0);
        if (type == 's') {
                assert_true(sd_bus_message_read(m, "s", &text) > 0);
                assert_string_equal(text, expected);
        } else {
                if (type == 't')
                        assert_true(sd_bus_message_read(m, "t", &u64) > 0);
                else if (type == 'u')
                        assert_true(sd_bus_message_read(m, "u", &u32) > 0), u64 = u32;
                else
                        assert_true(sd_bus_message_read(m, "b", &flag) > 0), u64 = (uint64_t) flag;
                number = str_format("%llu", (unsigned long long) u64);
                assert_string_equal(number, expected);
        }
        sd_bus_message_unref(m);
}

bool has_signal(const Fixture *f, const char *text)
{
        for (size_t i = 0; i < f->n_signals; i++)
                if (str_equal(f->signals[i], text))
                        return true;
        return false;
}

void leave(Fixture *f, const char *name)
{
        sd_bus_message *m = NULL;

        assert_true(sd_bus_message_new_signal(f->caller, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                    "NameOwnerChanged") >= 0);
        assert_true(sd_bus_message_append(m, "sss", name, name, "") >= 0);
        assert_true(sd_bus_message_set_sender(m, "org.freedesktop.DBus") >= 0);
        assert_true(sd_bus_send(f->caller, m, NULL) >= 0);
        sd_bus_message_unref(m);
}
