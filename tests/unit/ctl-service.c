/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/str-util.h"

#define CLIENT          "org.ackgroup.Client1"
#define CONNECTIONS_MAX 16u

static void must(bool condition)
{
        if (!condition)
                abort();
}

typedef struct Running {
        Service service;
        pthread_t thread;
        char path[64];
        int listener, end;
        sd_bus *connections[CONNECTIONS_MAX];
        size_t n_connections;
        FILE *calls;
        char *called;
        size_t called_size;
        void (*later)(Service *s);
} Running;

static void write_basic(FILE *out, sd_bus_message *m, char type)
{
        union {
                const char *s;
                uint8_t y;
                int b;
                uint32_t u;
                uint64_t t;
        } v = {};

        must(sd_bus_message_read_basic(m, type, &v) > 0);
        if (type == 's' || type == 'o')
                fputs(v.s, out);
        else
                fprintf(out, "%llu",
                                (unsigned long long) (type == 't'   ? v.t
                                                      : type == 'u' ? v.u
                                                      : type == 'y' ? v.y
                                                                    : (unsigned) v.b));
}

/* Arguments with | between them, members of arrays with commas, bytes as text. */
static void write_arguments(FILE *out, sd_bus_message *m, const char *separator)
{
        const char *contents, *before = "";
        char type;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
                const void *data;
                size_t n;

                fputs(before, out);
                before = separator;
                if (type == 'a' && contents[0] == 'y') {
                        must(sd_bus_message_read_array(m, 'y', &data, &n) >= 0);
                        (void) !fwrite(data, 1, n, out);
                } else if (strchr("arve", type)) {
                        must(sd_bus_message_enter_container(m, type, contents) > 0);
                        write_arguments(out, m, type == 'e' ? "=" : ",");
                        must(sd_bus_message_exit_container(m) >= 0);
                } else
                        write_basic(out, m, type);
        }
}

static int answer_bus(sd_bus_message *call)
{
        if (sd_bus_message_is_method_call(call, NULL, "Hello"))
                return sd_bus_reply_method_return(call, "s", ":1.7");
        return sd_bus_reply_method_return(call, NULL);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Running *r = userdata;
        const char *member = sd_bus_message_get_member(m) ?: "";
        uint8_t type;
        int k;

        (void) sd_bus_message_get_type(m, &type);
        if (type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        r->service.bus = sd_bus_message_get_bus(m);
        if (str_equal(sd_bus_message_get_destination(m), "org.freedesktop.DBus"))
                return answer_bus(m) < 0 ? -EIO : 1;
        if (!str_equal(member, "Ping") && !str_equal(member, "Subscribe")) {
                fprintf(r->calls, "%s ", member);
                write_arguments(r->calls, m, "|");
                fputc('\n', r->calls);
                (void) sd_bus_message_rewind(m, true);
        }
        for (const ServiceMethods *s = r->service.methods; s && s->member; s++)
                if (str_equal(s->member, member)) {
                        k = s->method(&r->service, m);
                        return k < 0 ? sd_bus_reply_method_errno(m, k, NULL) : 1;
                }
        if (str_equal(member, "Ping") || str_equal(member, "Subscribe"))
                return sd_bus_reply_method_return(m, NULL) < 0 ? -EIO : 1;
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_METHOD, "no %s here", member) < 0 ? -EIO
                                                                                                    : 1;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Running *r = userdata;
        sd_id128_t id = {};
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        sd_bus *bus;

        if (connection < 0)
                return 0;
        must(sd_bus_new(&bus) >= 0);
        must(sd_bus_set_fd(bus, connection, connection) >= 0);
        must(sd_bus_set_server(bus, true, id) >= 0);
        must(sd_bus_negotiate_fds(bus, true) >= 0);
        must(sd_bus_add_filter(bus, NULL, on_message, r) >= 0);
        must(sd_bus_start(bus) >= 0);
        must(sd_bus_attach_event(bus, r->service.event, 0) >= 0);
        must(r->n_connections < CONNECTIONS_MAX);
        r->connections[r->n_connections++] = bus;
        return 0;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void *run(void *userdata)
{
        Running *r = userdata;

        must(sd_event_new(&r->service.event) >= 0);
        must(sd_event_add_io(r->service.event, NULL, r->listener, EPOLLIN, on_connection, r) >= 0);
        must(sd_event_add_io(r->service.event, NULL, r->end, EPOLLIN, on_end, r) >= 0);
        (void) sd_event_loop(r->service.event);
        for (size_t i = 0; i < r->n_connections; i++)
                sd_bus_flush_close_unref(r->connections[i]);
        sd_event_unref(r->service.event);
        return NULL;
}

Service *service_start(const ServiceMethods *methods, void *userdata)
{
        Running *r = calloc(1, sizeof *r);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        sigset_t all, before;
        char text[128];

        must(r);
        r->service.methods = methods;
        r->service.userdata = userdata;
        (void) snprintf(r->path, sizeof r->path, "/tmp/test-ctl-%d.sock", (int) getpid());
        strcpy(address.sun_path, r->path);
        (void) unlink(r->path);
        r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(bind(r->listener, (struct sockaddr *) &address, sizeof address) == 0);
        must(listen(r->listener, 4) == 0);
        r->end = eventfd(0, EFD_CLOEXEC);
        r->calls = open_memstream(&r->called, &r->called_size);
        (void) snprintf(text, sizeof text, "unix:path=%s", r->path);
        (void) setenv("DBUS_SYSTEM_BUS_ADDRESS", text, true);
        /* Signals are for ackctl. */
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        must(pthread_create(&r->thread, NULL, run, r) == 0);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        return &r->service;
}

char *service_stop(Service *s)
{
        Running *r = (Running *) s;
        char *called;

        (void) eventfd_write(r->end, 1);
        (void) pthread_join(r->thread, NULL);
        (void) unlink(r->path);
        (void) close(r->listener);
        (void) close(r->end);
        (void) fclose(r->calls);
        called = r->called;
        free(r);
        return called;
}

static int send_signal(Service *s, sd_bus_message *signal)
{
        int r;

        r = sd_bus_message_set_sender(signal, CLIENT);
        return r < 0 ? r : sd_bus_send(s->bus, signal, NULL);
}

int service_emit_event(Service *s, const char *id, const char *event, uint32_t attempt, const char *receiver,
                const char *detail)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(
                        s->bus, &signal, "/org/ackgroup/Client1", CLIENT ".Manager", "MessageEvent");
        if (r >= 0)
                r = sd_bus_message_append(signal, "ssuss", id, event, attempt, receiver, detail);
        return r < 0 ? r : send_signal(s, signal);
}

int service_emit(Service *s, const char *member, const char *a, const char *b, const char *c)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(s->bus, &signal, "/org/ackgroup/Client1", CLIENT ".Manager", member);
        if (r >= 0)
                r = sd_bus_message_append(signal, "sss", a, b, c);
        return r < 0 ? r : send_signal(s, signal);
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata)
{
        Running *r = userdata;

        r->later(&r->service);
        return 0;
}

int service_later(Service *s, uint64_t usec, void (*fn)(Service *s))
{
        Running *r = (Running *) s;

        uint64_t now;

        r->later = fn;
        (void) sd_event_now(s->event, CLOCK_MONOTONIC, &now);
        return sd_event_add_time(s->event, NULL, CLOCK_MONOTONIC, now + usec, 1, on_later, r);
}
