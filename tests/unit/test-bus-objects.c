/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Objects, properties and signals; and that dbus/ is what the client offers. */

#include "bus-fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str-util.h"
#include "client/bus/subscribe.h"

static int new_fixture(void **state)
{
        *state = fixture_new(false);
        return 0;
}

static int free_fixture(void **state)
{
        fixture_free(*state);
        return 0;
}

/* What an interface has, one member a line, sorted; comments and the order of attributes do not count. */

typedef struct Members {
        char *lines[128];
        size_t n;
} Members;

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* `tag` is what stands between < and >: appends its name and its sorted attributes. */
static void append_tag(char *line, size_t size, char *tag)
{
        char *words[8], *save = NULL;
        size_t n = 0;

        tag[strcspn(tag, "/") == strlen(tag) - 1 ? strlen(tag) - 1 : strlen(tag)] = '\0';
        for (char *w = strtok_r(tag, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
                assert_true(n < ELEMENTSOF(words));
                words[n++] = w;
        }
        qsort(words + 1, n - 1, sizeof *words, by_text);
        for (size_t i = 0; i < n; i++)
                (void) snprintf(line + strlen(line), size - strlen(line), "%s ", words[i]);
}

static void read_members(char *xml, const char *interface, Members *ret)
{
        _cleanup_free_ char *start = str_format("<interface name=\"%s\">", interface);
        char line[2048] = "";
        unsigned depth = 0;
        char *p, *end;

        *ret = (Members){};
        while ((p = strstr(xml, "<!--"))) {
                end = strstr(p, "-->");
                assert_non_null(end);
                memmove(p, end + 3, strlen(end + 3) + 1);
        }
        p = strstr(xml, start);
        assert_non_null(p);
        end = strstr(p, "</interface>");
        assert_non_null(end);
        *end = '\0';
        for (p += strlen(start); (p = strchr(p, '<')); p = end + 1) {
                end = strchr(p, '>');
                assert_non_null(end);
                *end = '\0';
                if (p[1] == '/')
                        depth--;
                else {
                        depth += end[-1] != '/';
                        append_tag(line, sizeof line, p + 1);
                }
                if (depth > 0)
                        continue;
                assert_true(ret->n < ELEMENTSOF(ret->lines));
                ret->lines[ret->n++] = strdup(line);
                line[0] = '\0';
        }
        qsort(ret->lines, ret->n, sizeof *ret->lines, by_text);
}

static void assert_introspection(Fixture *f, const char *path, const char *interface)
{
        _cleanup_free_ char *file = str_format("%s/%s.xml", DBUS_DIRECTORY, interface);
        char written[32768] = "";
        Members offered, contract;
        const char *text;
        Answer a;

        FILE *stream = fopen(file, "re");
        assert_non_null(stream);
        assert_true(fread(written, 1, sizeof written - 1, stream) > 0);
        (void) fclose(stream);
        start_object_call(f, &a, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL);
        sd_bus_message *m = finish(f, &a);
        assert_true(sd_bus_message_read(m, "s", &text) > 0);
        _cleanup_free_ char *live = strdup(text);
        read_members(live, interface, &offered);
        read_members(written, interface, &contract);
        assert_true(contract.n > 10);
        for (size_t i = 0; i < contract.n && i < offered.n; i++)
                assert_string_equal(offered.lines[i], contract.lines[i]);
        assert_int_equal(offered.n, contract.n);
        for (size_t i = 0; i < contract.n; i++) {
                free(offered.lines[i]);
                free(contract.lines[i]);
        }
        sd_bus_message_unref(m);
}

static void test_introspection(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "nobody", "x"), *path = path_of(f, id);

        assert_introspection(f, BUS_PATH, MANAGER_INTERFACE);
        assert_introspection(f, path, MESSAGE_INTERFACE);
}

static void test_manager_properties(void **state)
{
        Fixture *f = *state;
        char id[SD_ID128_UUID_STRING_MAX];
        const struct {
                const char *name, *value;
        } expected[] = {
                        {"ClientId", sd_id128_to_uuid_string(f->client.id, id)},
                        {"Discovery", f->client.config.discovery},
                        {"DiscoveryState", "reachable"},
                        {"Receivers", "3"},
                        {"Waiting", "1"},
                        {"DeadLetters", "0"},
                        {"Settled", "1"},
                        {"Attempts", "1"},
                        {"OutboxLimit", "1000000"},
                        {"AckTimeoutUSec", "5000000"},
        };
        _cleanup_free_ char *acked = send_text(f, "any", "jobs", "x");

        assert_end(f, acked, "acked");
        free(send_text(f, "any", "nobody", "x"));

        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_property(f, BUS_PATH, MANAGER_INTERFACE, expected[i].name, expected[i].value);
        sd_bus_message_unref(get_property(f, BUS_PATH, MANAGER_INTERFACE, "Version"));
}

static void test_message_properties(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "to", RECEIVER, "x"), *path = path_of(f, id);
        const struct {
                const char *name, *value;
        } expected[] = {
                        {"Id", id},
                        {"Mode", "to"},
                        {"Target", RECEIVER},
                        {"State", "acked"},
                        {"Receiver", RECEIVER_ID},
                        {"ReceiverName", "1@here"},
                        {"Attempts", "1"},
                        {"Progress", ""},
                        {"LastError", ""},
                        {"Guarantee", "processed-once"},
                        {"NextRetry", "0"},
                        {"Size", "1"},
                        {"Deadline", "0"},
                        {"Start", "0"},
                        {"Priority", "4"},
                        {"PossibleDuplicate", "0"},
                        {"ReplyCut", "0"},
        };
        const void *reply;
        size_t size;

        assert_end(f, id, "acked");
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_property(f, path, MESSAGE_INTERFACE, expected[i].name, expected[i].value);
        sd_bus_message *m = get_property(f, path, MESSAGE_INTERFACE, "Reply");
        assert_true(sd_bus_message_read_array(m, 'y', &reply, &size) > 0);
        assert_int_equal(size, 4);
        sd_bus_message_unref(m);
        sd_bus_message_unref(get_property(f, path, MESSAGE_INTERFACE, "Accepted"));
        sd_bus_message_unref(get_property(f, path, MESSAGE_INTERFACE, "Settled"));
}

static bool has_problem(Fixture *f, const char *path)
{
        sd_bus_message *m = get_property(f, path, MESSAGE_INTERFACE, "LastError");
        const char *text;

        assert_true(sd_bus_message_read(m, "s", &text) > 0);
        bool found = text[0] != '\0';
        sd_bus_message_unref(m);
        return found;
}

/* One that waits for its next attempt, one that works, and one whose receiver cannot be reached. */
static void test_problems(void **state)
{
        Fixture *f = *state;
        sd_bus_message *sent, *m;
        const char *id;
        uint64_t next;

        sd_bus_message_unref(CALL(f, "Subscribe", NULL));
        sent = CALL(f, "SendText", "sssa{sv}", "to", RECEIVER, "fail", 1, "backoff", "t",
                        UINT64_C(3600000000));
        assert_true(sd_bus_message_read(sent, "s", &id) > 0);
        UNTIL(f, has_signal(f, "MessageEvent failed"));
        _cleanup_free_ char *failed = path_of(f, id);
        assert_property(f, failed, MESSAGE_INTERFACE, "State", "waiting");
        assert_property(f, failed, MESSAGE_INTERFACE, "LastError", "did not work");
        m = get_property(f, failed, MESSAGE_INTERFACE, "NextRetry");
        assert_true(sd_bus_message_read(m, "t", &next) > 0);
        assert_true(next > now_usec(CLOCK_REALTIME));
        sd_bus_message_unref(m);
        sd_bus_message_unref(sent);

        _cleanup_free_ char *work = send_text(f, "to", RECEIVER, "work"), *works = path_of(f, work);
        UNTIL(f, has_signal(f, "MessageEvent working"));
        assert_property(f, works, MESSAGE_INTERFACE, "Progress", "40 copying");
        assert_property(f, works, MESSAGE_INTERFACE, "Attempts", "1");

        _cleanup_free_ char *lost = send_text(f, "to", "2@there", "x"), *nowhere = path_of(f, lost);
        UNTIL(f, has_problem(f, nowhere));
        assert_property(f, nowhere, MESSAGE_INTERFACE, "State", "queued");
}

static void test_signals(void **state)
{
        Fixture *f = *state;
        Answer a;

        /* Nobody has subscribed: there are none. */
        _cleanup_free_ char *quiet = send_text(f, "any", "jobs", "x");
        assert_end(f, quiet, "acked");
        assert_false(has_signal(f, "MessageEvent accepted"));
        FAILS(f, "NotSubscribed", "", "Unsubscribe", NULL);

        sd_bus_message_unref(CALL(f, "Subscribe", NULL));
        _cleanup_free_ char *id = send_text(f, "any", "jobs", "x");
        assert_end(f, id, "acked");
        _cleanup_free_ char *path = path_of(f, id);
        _cleanup_free_ char *added = str_format("InterfacesAdded %s", path);
        _cleanup_free_ char *changed = str_format("PropertiesChanged %s", path);
        _cleanup_free_ char *removed = str_format("InterfacesRemoved %s", path);
        UNTIL(f, has_signal(f, changed));
        assert_true(has_signal(f, added));
        assert_true(has_signal(f, "MessageEvent accepted"));
        assert_true(has_signal(f, "MessageEvent sent"));
        assert_true(has_signal(f, "MessageEvent acked"));

        /* Events with words of their own. */
        free(send_text(f, "all", "jobs", "reject"));
        UNTIL(f, has_signal(f, "MessageEvent member-rejected"));

        start_call(f, &a, "Purge", "s", id);
        sd_bus_message_unref(finish(f, &a));
        UNTIL(f, has_signal(f, removed));

        sd_bus_message_unref(CALL(f, "Unsubscribe", NULL));
        forget_signals(f);
        _cleanup_free_ char *last = send_text(f, "any", "jobs", "x");
        assert_end(f, last, "acked");
        assert_false(has_signal(f, "MessageEvent acked"));
}

/* A subscriber that leaves the bus need not unsubscribe. */
static void test_subscriber_leaves(void **state)
{
        Fixture *f = *state;

        sd_bus_message_unref(CALL(f, "Subscribe", NULL));
        assert_true(bus_has_subscribers(&f->bus));
        leave(f, CALLER);
        UNTIL(f, !bus_has_subscribers(&f->bus));

        /* The caller has gone before its call is handled. */
        Answer a;
        f->sender = FAKE_BUS_GONE;
        start_call(f, &a, "Subscribe", NULL);
        sd_bus_message_unref(finish(f, &a));
        UNTIL(f, !bus_has_subscribers(&f->bus));
}

/* The bus does not say whether the caller is still there. Nobody waits for that. */
static void test_bus_is_slow(void **state)
{
        Fixture *f = *state;

        f->sender = FAKE_BUS_UNKNOWN;
        sd_bus_message_unref(CALL(f, "Subscribe", NULL));
        assert_true(bus_has_subscribers(&f->bus));
        sd_bus_message_unref(CALL(f, "Unsubscribe", NULL));
        assert_false(bus_has_subscribers(&f->bus));
}

static void test_too_many_subscribers(void **state)
{
        enum { MAX = 1024 };
        Fixture *f = *state;
        Answer *calls = calloc(MAX, sizeof *calls);

        for (unsigned i = 0; i < MAX; i++) {
                char name[16];
                (void) snprintf(name, sizeof name, ":2.%u", i);
                f->sender = name;
                start_call(f, calls + i, "Subscribe", NULL);
        }
        f->sender = CALLER;
        FAILS(f, "LimitExceeded", "1024 programs", "Subscribe", NULL);
        for (unsigned i = 0; i < MAX; i++)
                sd_bus_message_unref(finish(f, calls + i));
        free(calls);
}

static void test_receivers_are_signalled(void **state)
{
        Fixture *f = *state;

        UNTIL(f, has_signal(f, "ReceiverAdded " RECEIVER_ID));
}

static void test_reload_is_signalled(void **state)
{
        Fixture *f = *state;
        ClientConfig fresh;

        client_config_init(&fresh);
        fresh.outbox_limit = 5;
        client_reload(&f->client, &fresh);
        UNTIL(f, has_signal(f, "PropertiesChanged " BUS_PATH));
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "OutboxLimit", "5");
}

static void test_objects(void **state)
{
        Fixture *f = *state;
        const char *path;
        unsigned n = 0;
        Answer a;

        free(send_text(f, "any", "nobody", "x"));
        free(send_text(f, "any", "nobody", "y"));
        start_object_call(f, &a, BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
        sd_bus_message *m = finish(f, &a);
        assert_true(sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}") > 0);
        while (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") > 0) {
                assert_true(sd_bus_message_read(m, "o", &path) > 0);
                assert_true(sd_bus_message_skip(m, "a{sa{sv}}") > 0);
                assert_true(sd_bus_message_exit_container(m) > 0);
                n += str_after_prefix(path, MESSAGE_PATH "/") != NULL;
        }
        assert_int_equal(n, 2);
        sd_bus_message_unref(m);

        start_object_call(f, &a, MESSAGE_PATH "/00000000000000000000000000000000", MESSAGE_INTERFACE,
                        "Cancel", NULL);
        finish_failed(f, &a, SD_BUS_ERROR_UNKNOWN_OBJECT, "");
        start_object_call(f, &a, MESSAGE_PATH "/x", MESSAGE_INTERFACE, "Cancel", NULL);
        finish_failed(f, &a, SD_BUS_ERROR_UNKNOWN_OBJECT, "");
}

static void test_log_control(void **state)
{
        Fixture *f = *state;

        assert_property(f, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1", "SyslogIdentifier",
                        "ackgroup-client");
}

/* The name is taken even if discovery does not answer, so that callers are told. */
static void test_without_discovery(void **state)
{
        Fixture *f = fixture_new_alone();

        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "DiscoveryState", "unreachable");
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "Receivers", "0");
        fixture_free(f);
}

static void test_name_is_taken(void **state)
{
        Fixture *f = *state;

        f->bus.signals.named = false;
        fake_bus_set_name_answer(f->fake, 3);
        f->client.observer.changed(f->client.observer.userdata);
        assert_int_equal(loop_run(f->client.loop), EXIT_FAILURE);
        assert_false(f->bus.signals.named);
}

static void test_bus_is_lost(void **state)
{
        Fixture *f = *state;

        (void) setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", 1);
        (void) setenv("NOTIFY_SOCKET", "/nonexistent", 1); /* a service manager runs it */
        sd_bus_message_unref(CALL(f, "Subscribe", NULL));
        assert_true(bus_has_subscribers(&f->bus));
        fake_bus_cut(f->fake);
        /* It goes on without, and tries again, after longer and longer pauses. */
        UNTIL(f, f->bus.connect.pause > 300 * USEC_PER_MSEC);
        assert_null(f->bus.bus);
        assert_false(f->bus.signals.named);
        assert_false(bus_has_subscribers(&f->bus));
        assert_null(f->bus.callers.by_name);
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("DBUS_SESSION_BUS_ADDRESS");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_introspection),
                        TEST(test_manager_properties),
                        TEST(test_message_properties),
                        TEST(test_problems),
                        TEST(test_signals),
                        TEST(test_subscriber_leaves),
                        TEST(test_bus_is_slow),
                        TEST(test_too_many_subscribers),
                        TEST(test_receivers_are_signalled),
                        TEST(test_reload_is_signalled),
                        TEST(test_objects),
                        TEST(test_log_control),
                        cmocka_unit_test(test_without_discovery),
                        TEST(test_name_is_taken),
                        TEST(test_bus_is_lost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
