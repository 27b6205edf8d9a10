/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process at one end of a connection, for tests of the network. */

#include "net-side.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void on_connected(Connection *c, void *userdata)
{
        Side *s = userdata;

        s->n_connected++;
        s->at = world_now();
}

static void on_readable(Connection *c, void *userdata)
{
        Side *s = userdata;
        Buffer *in = connection_input(c);
        const size_t n = buffer_size(in);

        for (size_t i = 0; i < n; i++)
                s->in_order &= buffer_peek(in)[i] == (uint8_t) (s->n_read + i);
        s->n_reads++;
        s->n_read += n;
        s->n_largest = MAX(s->n_largest, n);
        s->at = world_now();
        buffer_consume(in, n);
}

static void on_ended(Connection *c, int error, void *userdata)
{
        Side *s = userdata;

        s->n_ended++;
        s->error = error;
        s->at = world_now();
        s->connection = connection_free(c);
}

static void on_drained(Connection *c, void *userdata)
{
        ((Side *) userdata)->n_drained++;
}

static const ConnectionCallbacks callbacks = {.connected = on_connected,
                .readable = on_readable,
                .ended = on_ended,
                .drained = on_drained};

static void on_listener(uint32_t events, void *userdata)
{
        Side *s = userdata;
        const int fd = listener_accept(s->listeners.listeners);

        assert_true(fd >= 0);
        assert_int_equal(connection_new(s->loop, fd, &callbacks, s, &s->connection), 0);
        connection_pause(s->connection, s->does_not_read);
        s->n_connected++;
}

static bool has_work(Source *source)
{
        return CONTAINER_OF(source, Side, source)->work;
}

static void do_work(Source *source)
{
        Side *s = CONTAINER_OF(source, Side, source);
        void (*work)(Side * side) = s->work;

        s->work = NULL;
        work(s);
}

static void reclaim(Owned *o)
{
        source_remove(&CONTAINER_OF(o, Side, owned)->source);
}

static int run(void *userdata)
{
        Side *s = userdata;
        Address a;

        s->listeners = (ListenerSet){};
        s->source = (Source){};
        assert_int_equal(loop_new(NULL, NULL, &s->loop), 0);
        source_add(&s->source, s->loop, has_work, do_work);
        owned_add(&s->owned, reclaim);
        assert_int_equal(address_parse(s->address, &a, NULL), 0);
        if (s->listens) {
                Error error = {};
                if (listeners_bind(&s->listeners, &a, 0660, &error) < 0)
                        fail_msg("%s", error.text);
                (void) watch_start(
                                &s->watch, s->loop, s->listeners.listeners[0].fd, EPOLLIN, on_listener, s);
        } else if (!connection_is_possible(&a))
                s->opened = -ENOENT;
        else
                s->opened = connection_open(s->loop, &a, SILENCE_USEC, &callbacks, s, &s->connection);
        const int status = loop_run(s->loop);
        connection_free(s->connection);
        watch_stop(&s->watch);
        listeners_clear(&s->listeners);
        owned_remove(&s->owned);
        source_remove(&s->source);
        loop_free(s->loop);
        return status;
}

/* The loop of a killed process is gone; so is what was in it. */
void side_start(Side *s)
{
        *s = (Side){.process = s->process,
                        .address = s->address,
                        .listens = s->listens,
                        .does_not_read = s->does_not_read,
                        .in_order = true};
        process_start(s->process, run, s);
}

void run_for(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}

void side_do(Side *s, void (*work)(Side *side))
{
        s->work = work;
        loop_wake(s->loop);
        run_for(100);
}

size_t side_written;
static size_t to_write;
static const char *to_open;

static void write_bytes(Side *s)
{
        for (; to_write > 0; to_write--, side_written++) {
                const uint8_t byte = (uint8_t) side_written;
                assert_int_equal(buffer_append(connection_output(s->connection), &byte, 1), 0);
        }
        connection_flush(s->connection);
}

static void hang_up(Side *s)
{
        s->connection = connection_free(s->connection);
}

void side_hang_up(Side *s)
{
        side_do(s, hang_up);
}

void side_write(Side *s, size_t n)
{
        to_write = n;
        side_do(s, write_bytes);
}

static void open_connection(Side *s)
{
        Address a;

        assert_int_equal(address_parse(to_open, &a, NULL), 0);
        s->opened = connection_open(s->loop, &a, SILENCE_USEC, &callbacks, s, &s->connection);
}

void side_open(Side *s, const char *address)
{
        to_open = address;
        side_do(s, open_connection);
}
