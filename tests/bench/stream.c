/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define READ_SIZE ((size_t) 1 << 18)

/* A call of OpenStream with its options. */
static sd_bus_message *open_call(sd_bus *bus, const StreamOptions *o)
{
        sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, "org.ackgroup.Client1", "/org/ackgroup/Client1",
                        "org.ackgroup.Client1.Manager", "OpenStream");
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(call, "{sv}{sv}{sv}{sv}", "mode", "s", o->mode ?: "any", "target",
                                "s", o->target ?: "", "settlements", "b", (int) o->settlements, "durability",
                                "s", o->durable ? "durable" : "memory");
        if (r >= 0 && o->deadline > 0)
                r = sd_bus_message_append(call, "{sv}", "deadline", "t",
                                ((uint64_t) time(NULL) + o->deadline) * 1000000);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                bench_die("OpenStream");
        return call;
}

void stream_open(BenchStream *s, sd_bus *bus, const StreamOptions *options)
{
        sd_bus_message *call = open_call(bus, options), *reply = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int fd, r;

        r = sd_bus_call(bus, call, 0, &error, &reply);
        if (r < 0) {
                fprintf(stderr, "bench: OpenStream: %s\n", error.message ?: strerror(-r));
                exit(options->durable ? 1 : 3);
        }
        if (sd_bus_message_read(reply, "h", &fd) < 0 || (fd = dup(fd)) < 0)
                bench_die("OpenStream");
        sd_bus_message_unref(reply);
        sd_bus_message_unref(call);
        *s = (BenchStream){.fd = fd};
}

void stream_write(BenchStream *s)
{
        if (buffer_size(&s->out) == 0)
                return;
        ssize_t n = send(s->fd, buffer_peek(&s->out), buffer_size(&s->out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
                buffer_consume(&s->out, (size_t) n);
}

void stream_move(BenchStream *s)
{
        struct pollfd p = {
                        .fd = s->fd, .events = (short) (POLLIN | (buffer_size(&s->out) > 0 ? POLLOUT : 0))};

        if (poll(&p, 1, 1000) < 0)
                bench_die("poll");
        if (p.revents & POLLOUT)
                stream_write(s);
        if (p.revents & (POLLIN | POLLHUP)) {
                uint8_t *room = buffer_reserve(&s->in, READ_SIZE);
                ssize_t n = room ? read(s->fd, room, READ_SIZE) : -1;
                if (n == 0)
                        errno = EPIPE;
                if (n <= 0)
                        bench_die("stream");
                buffer_added(&s->in, (size_t) n);
        }
}

bool stream_take(BenchStream *s, Frame *ret)
{
        Error error = {};
        ssize_t n = frame_decode(
                        buffer_peek(&s->in), buffer_size(&s->in), FRAME_BODY_MAX, ret, NULL, &error);

        if (n < 0) {
                fprintf(stderr, "bench: %s\n", error.text);
                exit(1);
        }
        /* The bytes stay where they are until more are added. */
        if (n > 0)
                buffer_consume(&s->in, (size_t) n);
        return n > 0;
}

void stream_close(BenchStream *s)
{
        (void) close(s->fd);
        buffer_clear(&s->in);
        buffer_clear(&s->out);
}
