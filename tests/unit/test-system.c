/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What daemons say to systemd, and hear from it: signals, sd_notify, log lines, the journal, LogControl1,
 * and the job of the own unit. */

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "capture.h"
#include "runtime/journal.h"
#include "runtime/log-control.h"
#include "runtime/loop-event.h"
#include "runtime/loop.h"
#include "runtime/notify.h"
#include "runtime/unit-job.h"

/* The loop. */

static unsigned n_stops, n_reloads;

static void on_stop(void *userdata)
{
        n_stops++;
}

static void on_reload(void *userdata)
{
        n_reloads++;
}

static void test_signals(void **state)
{
        Loop *loop;

        assert_int_equal(loop_new(on_stop, NULL, &loop), 0);
        assert_int_equal(raise(SIGHUP), 0); /* nobody wants it */
        assert_true(loop_iterate(loop, 0) > 0);
        loop_set_reload(loop, on_reload, NULL);
        assert_int_equal(raise(SIGHUP), 0);
        while (n_reloads == 0)
                assert_true(loop_iterate(loop, USEC_PER_SEC) > 0);
        assert_int_equal(raise(SIGTERM), 0);
        while (n_stops == 0)
                assert_true(loop_iterate(loop, USEC_PER_SEC) > 0);
        assert_int_equal(raise(SIGINT), 0); /* impatient */
        assert_int_equal(loop_run(loop), EXIT_FAILURE);
        assert_int_equal(n_stops, 1);
        loop_free(loop);
}

static void test_signal_without_stop(void **state)
{
        Loop *loop;

        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(raise(SIGTERM), 0);
        assert_int_equal(loop_run(loop), EXIT_SUCCESS);
        loop_free(loop);
}

typedef struct Restless {
        LoopWork work;
        Loop *loop;
        unsigned n;
} Restless;

static void run_again(void *userdata)
{
        Restless *r = userdata;

        r->n++;
        loop_defer(r->loop, &r->work);
}

/* Work that defers itself for ever leaves the others their turn. */
static void test_restless_work(void **state)
{
        Restless r = {.work = {.run = run_again, .userdata = &r}};
        Loop *loop;

        assert_int_equal(loop_new(on_stop, NULL, &loop), 0);
        r.loop = loop;
        loop_defer(loop, &r.work);
        n_stops = 0;
        assert_int_equal(raise(SIGTERM), 0);
        for (unsigned i = 0; i < 100 && n_stops == 0; i++)
                assert_true(loop_iterate(loop, USEC_PER_SEC) > 0);
        assert_int_equal(n_stops, 1);
        unsigned before = r.n;
        assert_true(loop_iterate(loop, USEC_PER_SEC) > 0);
        assert_true(r.n > before);
        loop_cancel(loop, &r.work);
        loop_free(loop);
}

/* sd_notify. */

static void test_notify(void **state)
{
        static const char *const wanted[] = {
                        "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=a 5", "EXTEND_TIMEOUT_USEC=7"};
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char text[sizeof address.sun_path + 1];

        (void) snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ackgroup-test-%d", getpid());
        (void) snprintf(text, sizeof text, "@%s", address.sun_path + 1);
        socklen_t n = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(text));
        assert_int_equal(bind(fd, (struct sockaddr *) &address, n), 0);
        notify_ready(); /* nobody listens */
        assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
        notify_ready();
        notify_stopping();
        notify_alive();
        notify_status("a %d", 5);
        notify_extend(7);
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
                ssize_t k = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
                assert_true(k > 0);
                text[k] = '\0';
                assert_string_equal(text, wanted[i]);
        }
        (void) unsetenv("NOTIFY_SOCKET");
        (void) close(fd);
}

/* The log. The target is found once in a process, so this has to be the first that looks: standard error is
 * a journal's stream from here on. */

static Capture capture;

static void capture_journal(void)
{
        char stream[64];
        struct stat st;

        capture_begin(&capture);
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        (void) snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static void test_log_lines(void **state)
{
        capture_journal();
        LogTarget target = log_get_target();
        log_set_level(LOG_NOTICE);
        log_info("not this");
        log_notice("a %s", "line");
        int r = log_warning_errno(-ENOENT, "no %d", 5);
        errno = EPERM;
        log_error("%3000s", "long");
        int after = errno;
        capture_end(&capture);
        assert_int_equal(target, LOG_TARGET_JOURNAL);
        assert_int_equal(r, -ENOENT);
        assert_int_equal(after, EPERM);
        assert_non_null(str_after_prefix(
                        capture.err, "<5>a line\n<4>no 5: No such file or directory\n<3>   "));
        assert_true(strlen(capture.err) < 2200);
        assert_int_equal(capture.err[strlen(capture.err) - 1], '\n');
        capture_clear(&capture);
        log_set_level(LOG_INFO);
}

static void test_log_levels(void **state)
{
        assert_int_equal(log_level_from_string("debug"), LOG_DEBUG);
        assert_int_equal(log_level_from_string("loud"), -EINVAL);
        assert_string_equal(log_level_to_string(LOG_ERR), "err");
}

/* The journal. */

static char entry[2048];
static bool journal_is_full;

/* Takes what goes to the journal. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
        const struct sockaddr_un *to = m->msg_name;

        if (!to || strcmp(to->sun_path, "/run/systemd/journal/socket") != 0)
                return syscall(SYS_sendmsg, fd, m, flags);
        assert_true(flags & MSG_DONTWAIT);
        errno = EAGAIN;
        if (journal_is_full)
                return -1;
        entry[0] = '\0';
        for (size_t i = 0; i < m->msg_iovlen; i++)
                strncat(entry, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
        return 1;
}

/* An event that the journal does not take is a line, which can wait. */
static void test_full_journal(void **state)
{
        journal_is_full = true;
        capture_journal();
        journal_event(JOURNAL_FAILED, &(JournalFields){.message = "m"}, "Message %s has failed", "m");
        capture_end(&capture);
        assert_string_equal(capture.err, "<5>Message m has failed\n");
        capture_clear(&capture);
        journal_is_full = false;
}

/* A newline would begin another field. */
static void test_journal_newline(void **state)
{
        journal_event(JOURNAL_FAILED, &(JournalFields){.message = "m"}, "%s", "a\nPRIORITY=0");
        assert_non_null(strstr(entry, "MESSAGE=a PRIORITY=0\nMESSAGE_ID="));
}

static void test_journal(void **state)
{
        const JournalFields fields = {
                        .message = "m", .receiver = "r", .sender = "", .reason = "why", .attempt = 3};

        journal_event(JOURNAL_FAILED, &fields, "Message %s has failed", "m");
        assert_non_null(strstr(entry, "MESSAGE=Message m has failed\n"));
        assert_non_null(strstr(entry, "MESSAGE_ID=bd0bf041b98a4d62946f36d148796d85\n"));
        assert_non_null(strstr(entry, "PRIORITY=5\n"));
        assert_non_null(strstr(entry, "ACKGROUP_MESSAGE=m\nACKGROUP_RECEIVER=r\nACKGROUP_REASON="
                                      "why\nACKGROUP_ATTEMPT=3\n"));
        assert_null(strstr(entry, "ACKGROUP_SENDER"));
        journal_text(&fields, "<3>no paper"); /* a handler's own text */
        assert_non_null(strstr(entry, "MESSAGE=no paper\nPRIORITY=3\n"));
        assert_non_null(strstr(entry, "ACKGROUP_MESSAGE=m\n"));
        log_set_level(LOG_ERR);
        entry[0] = '\0';
        journal_event(JOURNAL_FAILED, &fields, "not this");
        assert_string_equal(entry, "");
        assert_false(journal_wants(JOURNAL_FAILED));
        log_set_level(LOG_INFO);
}

/* Buses. Two connections that are each other's peer, on the default loop of this thread. */

typedef struct Buses {
        Loop *loop;
        sd_bus *server, *client;
} Buses;

static sd_bus *bus_at(Buses *b, int fd, bool server)
{
        sd_bus *bus;

        assert_int_equal(sd_bus_new(&bus), 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        assert_true(sd_bus_set_anonymous(bus, true) >= 0);
        if (server)
                assert_true(sd_bus_set_server(bus, true, (sd_id128_t){.bytes = {1}}) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        return bus;
}

static int setup_buses(void **state)
{
        static Buses b;
        int fds[2];

        *state = &b;
        assert_int_equal(loop_new(NULL, NULL, &b.loop), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        b.server = bus_at(&b, fds[0], true);
        b.client = bus_at(&b, fds[1], false);
        assert_true(sd_bus_attach_event(b.server, loop_event(b.loop), 0) >= 0);
        return 0;
}

static int teardown_buses(void **state)
{
        Buses *b = *state;

        sd_bus_close_unref(b->client);
        sd_bus_close_unref(b->server);
        loop_free(b->loop);
        return 0;
}

typedef struct Reply {
        bool is_there;
        char text[64];
} Reply;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *text = sd_bus_message_is_method_error(m, NULL) ? sd_bus_message_get_error(m)->name : "";
        Reply *r = userdata;

        if (!text[0] && sd_bus_message_is_empty(m) == 0)
                (void) sd_bus_message_read(m, "v", "s", &text);
        str_copy(r->text, sizeof r->text, text);
        r->is_there = true;
        return 0;
}

#define LOG_CONTROL "org.freedesktop.LogControl1"

/* `value` NULL: gets it. */
static const char *property(Buses *b, const char *name, const char *value)
{
        static Reply reply;

        reply = (Reply){};
        if (value)
                assert_true(sd_bus_call_method_async(b->client, NULL, NULL, "/org/freedesktop/LogControl1",
                                            "org.freedesktop.DBus.Properties", "Set", on_reply, &reply,
                                            "ssv", LOG_CONTROL, name, "s", value) >= 0);
        else
                assert_true(sd_bus_call_method_async(b->client, NULL, NULL, "/org/freedesktop/LogControl1",
                                            "org.freedesktop.DBus.Properties", "Get", on_reply, &reply, "ss",
                                            LOG_CONTROL, name) >= 0);
        while (!reply.is_there)
                assert_true(loop_iterate(b->loop, USEC_PER_SEC) >= 0);
        return reply.text;
}

static void test_log_control(void **state)
{
        Buses *b = *state;

        assert_true(sd_bus_attach_event(b->client, loop_event(b->loop), 0) >= 0);
        assert_true(log_control_add(b->server, "identifier") >= 0);
        assert_string_equal(property(b, "LogLevel", NULL), "info");
        assert_string_equal(property(b, "LogLevel", "debug"), "");
        assert_int_equal(log_get_level(), LOG_DEBUG);
        assert_string_equal(property(b, "LogLevel", "loud"), SD_BUS_ERROR_INVALID_ARGS);
        assert_string_equal(property(b, "LogTarget", NULL), "console");
        assert_string_equal(property(b, "LogTarget", "journal"), SD_BUS_ERROR_NOT_SUPPORTED);
        assert_string_equal(property(b, "SyslogIdentifier", NULL), "identifier");
        log_set_level(LOG_INFO);
}

/* The job of the own unit: the server is systemd. */

static bool is_booted;
static uint32_t job_id;
static const char *job_type;
static sd_bus *manager_bus;

int sd_booted(void)
{
        return is_booted;
}

int sd_id128_get_invocation(sd_id128_t *ret)
{
        *ret = (sd_id128_t){.bytes = {7}};
        return 0;
}

int sd_bus_open_system(sd_bus **ret)
{
        *ret = sd_bus_ref(manager_bus);
        return 0;
}

int sd_bus_open_user(sd_bus **ret)
{
        return sd_bus_open_system(ret);
}

static int get_unit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return sd_bus_reply_method_return(m, "o", "/unit");
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *name,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "(uo)", job_id, job_id > 0 ? "/job" : "/");
}

static int get_job_type(sd_bus *bus, const char *path, const char *interface, const char *name,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", job_type);
}

static const sd_bus_vtable manager_table[] = {SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("GetUnitByInvocationID", "ay", "o", get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_VTABLE_END};
static const sd_bus_vtable unit_table[] = {
                SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("Job", "(uo)", get_job, 0, 0), SD_BUS_VTABLE_END};
static const sd_bus_vtable job_table[] = {SD_BUS_VTABLE_START(0),
                SD_BUS_PROPERTY("JobType", "s", get_job_type, 0, 0), SD_BUS_VTABLE_END};

static int told; /* -1: not yet */

static void on_told(bool restarting, void *userdata)
{
        told = restarting;
}

static int ask_job(Buses *b, uint32_t id, const char *type)
{
        UnitJob *j = NULL;

        job_id = id;
        job_type = type;
        told = -1;
        assert_int_equal(unit_job_ask(b->loop, on_told, NULL, &j), 0);
        assert_int_equal(told, -1);
        while (told < 0)
                assert_true(loop_iterate(b->loop, USEC_PER_SEC) >= 0);
        unit_job_free(j);
        return told;
}

#define MANAGER "org.freedesktop.systemd1"

/* Each asker closes its connection. */
static bool ask_systemd(void **state, uint32_t id, const char *type)
{
        Buses *b = *state;

        assert_true(sd_bus_add_object_vtable(b->server, NULL, "/org/freedesktop/systemd1",
                                    MANAGER ".Manager", manager_table, NULL) >= 0);
        assert_true(sd_bus_add_object_vtable(b->server, NULL, "/unit", MANAGER ".Unit", unit_table, NULL) >=
                        0);
        assert_true(sd_bus_add_object_vtable(b->server, NULL, "/job", MANAGER ".Job", job_table, NULL) >= 0);
        is_booted = true;
        manager_bus = b->client;
        return ask_job(b, id, type);
}

static void test_restart_job(void **state)
{
        assert_true(ask_systemd(state, 5, "restart"));
}

static void test_stop_job(void **state)
{
        assert_false(ask_systemd(state, 5, "stop"));
}

static void test_no_job(void **state)
{
        assert_false(ask_systemd(state, 0, "restart"));
}

static void test_no_unit(void **state)
{
        Buses *b = *state;

        is_booted = true;
        manager_bus = b->client; /* knows no such object */
        assert_false(ask_job(b, 5, "restart"));
}

static void test_no_systemd(void **state)
{
        is_booted = false;
        assert_false(ask_job(*state, 5, "restart"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_log_lines),
                        cmocka_unit_test(test_log_levels),
                        cmocka_unit_test(test_journal),
                        cmocka_unit_test(test_journal_newline),
                        cmocka_unit_test(test_full_journal),
                        cmocka_unit_test(test_signals),
                        cmocka_unit_test(test_signal_without_stop),
                        cmocka_unit_test(test_restless_work),
                        cmocka_unit_test(test_notify),
                        cmocka_unit_test_setup_teardown(test_log_control, setup_buses, teardown_buses),
                        cmocka_unit_test_setup_teardown(test_restart_job, setup_buses, teardown_buses),
                        cmocka_unit_test_setup_teardown(test_stop_job, setup_buses, teardown_buses),
                        cmocka_unit_test_setup_teardown(test_no_job, setup_buses, teardown_buses),
                        cmocka_unit_test_setup_teardown(test_no_unit, setup_buses, teardown_buses),
                        cmocka_unit_test_setup_teardown(test_no_systemd, setup_buses, teardown_buses),
        };

        return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
