/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUS "org.freedesktop.DBus"

struct FakeBus {
        pthread_t thread;
        int service_fd, caller_fd;
        atomic_uint name_answer;

        /* used by the thread only */
        sd_event *event;
        sd_bus *service, *caller;
};

static void check(int r)
{
        if (r < 0)
                abort();
}

/* Returns true if the call was for the bus itself; then it has sent a reply. */
static int answer(FakeBus *f, sd_bus_message *m)
{
        const char *member = sd_bus_message_get_member(m), *name;

        if (!sd_bus_message_is_method_call(m, BUS, NULL))
                return 0;
        if (strcmp(member, "Hello") == 0)
                return sd_bus_reply_method_return(m, "s", FAKE_BUS_SERVICE);
        if (strcmp(member, "AddMatch") == 0 || strcmp(member, "RemoveMatch") == 0)
                return sd_bus_reply_method_return(m, NULL);
        if (strcmp(member, "RequestName") == 0)
                return sd_bus_reply_method_return(m, "u", atomic_load(&f->name_answer));
        if (strcmp(member, "GetNameOwner") != 0)
                return 0;
        check(sd_bus_message_read(m, "s", &name));
        if (strcmp(name, FAKE_BUS_UNKNOWN) == 0)
                return 1; /* without a reply */
        if (strcmp(name, FAKE_BUS_GONE) == 0)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "nobody has %s", name);
        return sd_bus_reply_method_return(m, "s", name);
}

static int from_service(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        FakeBus *f = userdata;

        if (sd_bus_message_is_signal(m, BUS ".Local", "Disconnected"))
                return sd_event_exit(f->event, 0);
        int r = answer(f, m);
        check(r);
        if (r == 0)
                (void) sd_bus_send(f->caller, m, NULL);
        return 1;
}

static int from_caller(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        FakeBus *f = userdata;

        if (!sd_bus_message_is_signal(m, BUS ".Local", "Disconnected"))
                (void) sd_bus_send(f->service, m, NULL);
        return 1;
}

static sd_bus *accept_peer(FakeBus *f, int fd, sd_bus_message_handler_t filter)
{
        sd_id128_t id = SD_ID128_MAKE(ac, 6b, 6f, 00, 00, 00, 40, 00, 80, 00, 00, 00, 00, 00, 00, 01);
        sd_bus *bus = NULL;

        check(sd_bus_new(&bus));
        check(sd_bus_set_fd(bus, fd, fd));
        check(sd_bus_set_server(bus, 1, id));
        check(sd_bus_negotiate_fds(bus, 1));
        check(sd_bus_add_filter(bus, NULL, filter, f));
        check(sd_bus_start(bus));
        check(sd_bus_attach_event(bus, f->event, 0));
        return bus;
}

static void *run(void *userdata)
{
        FakeBus *f = userdata;

        check(sd_event_new(&f->event));
        f->service = accept_peer(f, f->service_fd, from_service);
        f->caller = accept_peer(f, f->caller_fd, from_caller);
        check(sd_event_loop(f->event));
        sd_bus_close_unref(f->service);
        sd_bus_close_unref(f->caller);
        sd_event_unref(f->event);
        return NULL;
}

static sd_bus *connect_to(int fd, int bus_client)
{
        sd_bus *bus = NULL;

        check(sd_bus_new(&bus));
        check(sd_bus_set_fd(bus, fd, fd));
        check(sd_bus_set_bus_client(bus, bus_client));
        check(sd_bus_negotiate_fds(bus, 1));
        check(sd_bus_start(bus));
        return bus;
}

FakeBus *fake_bus_new(sd_bus **ret_service, sd_bus **ret_caller)
{
        FakeBus *f = calloc(1, sizeof *f);
        int service[2], caller[2];

        if (!f)
                abort();
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, service));
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, caller));
        f->service_fd = service[1];
        f->caller_fd = caller[1];
        f->name_answer = 1;
        if (pthread_create(&f->thread, NULL, run, f) != 0)
                abort();
        *ret_service = connect_to(service[0], 1);
        *ret_caller = connect_to(caller[0], 0);
        return f;
}

void fake_bus_free(FakeBus *f)
{
        if (pthread_join(f->thread, NULL) != 0)
                abort();
        free(f);
}

void fake_bus_set_name_answer(FakeBus *f, unsigned answer_number)
{
        atomic_store(&f->name_answer, answer_number);
}

void fake_bus_cut(FakeBus *f)
{
        check(shutdown(f->service_fd, SHUT_RDWR));
}
