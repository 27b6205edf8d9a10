/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake/connection.h"

#include <stdlib.h>
#include <utlist.h>

struct Connection {
        Loop *loop;
        LoopWork flush;
        ConnectionCallbacks callbacks;
        void *userdata;
        Address address;
        bool outgoing, connecting, paused, blocked;
        int failed;
        Buffer input, output, received;
        Connection *prev, *next;
};

static Connection *connections;
static Buffer last_words;
static int fail_open;
static bool fail_later, impossible;

static void deliver(Connection *s)
{
        size_t n = buffer_size(&s->output);

        if (s->connecting || s->blocked || n == 0)
                return;
        int r = buffer_append(&s->received, buffer_peek(&s->output), n);
        assert(r == 0);
        buffer_consume(&s->output, n);
}

static void on_flush(void *userdata)
{
        Connection *s = userdata;
        bool had_some = buffer_size(&s->output) > 0;

        if (s->failed < 0) {
                s->callbacks.ended(s, s->failed, s->userdata);
                return;
        }
        deliver(s);
        if (had_some && !s->connecting && buffer_size(&s->output) == 0 && s->callbacks.drained)
                s->callbacks.drained(s, s->userdata);
}

static Connection *new (Loop *loop, const ConnectionCallbacks *callbacks, void *userdata)
{
        Connection *s = calloc(1, sizeof *s);

        assert(s);
        s->loop = loop;
        s->callbacks = *callbacks;
        s->userdata = userdata;
        s->flush = (LoopWork){.run = on_flush, .userdata = s};
        DL_PREPEND(connections, s);
        return s;
}

int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        *ret = new (loop, callbacks, userdata);
        return 0;
}

int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        int error = fail_open;

        fail_open = 0;
        if (error > 0 && !fail_later)
                return -error;
        *ret = new (loop, callbacks, userdata);
        (*ret)->address = *address;
        (*ret)->outgoing = (*ret)->connecting = true;
        (*ret)->failed = -error;
        if (error > 0)
                connection_flush(*ret);
        return 0;
}

void connection_end_silence(int fd, uint64_t silence_usec)
{
}

bool connection_is_possible(const Address *address)
{
        return !impossible;
}

Connection *connection_free(Connection *s)
{
        if (!s)
                return NULL;
        loop_cancel(s->loop, &s->flush);
        DL_DELETE(connections, s);
        buffer_clear(&s->input);
        buffer_clear(&s->output);
        buffer_clear(&last_words);
        last_words = s->received;
        free(s);
        return NULL;
}

Buffer *connection_input(Connection *s)
{
        return &s->input;
}

Buffer *connection_output(Connection *s)
{
        return &s->output;
}

void connection_flush(Connection *s)
{
        loop_defer(s->loop, &s->flush);
}

size_t connection_output_size(const Connection *s)
{
        return buffer_size(&s->output);
}

size_t connection_unsent(const Connection *s)
{
        return connection_output_size(s);
}

void connection_pause(Connection *s, bool paused)
{
        s->paused = paused;
}

void connection_shutdown(Connection *s)
{
}

void connection_write_now(Connection *s)
{
        deliver(s);
}

void connection_refuse(int fd, const void *data, size_t n)
{
}

Connection *fake_connection(unsigned n)
{
        Connection *s = connections;

        for (; s && n > 0; n--)
                s = s->next;
        return s;
}

const Address *fake_connection_address(const Connection *s)
{
        return s->outgoing ? &s->address : NULL;
}

void *fake_connection_owner(const Connection *s)
{
        return s->userdata;
}

void fake_connection_accept(Connection *s)
{
        assert(s->connecting && s->failed == 0);
        s->connecting = false;
        s->callbacks.connected(s, s->userdata);
}

void fake_connection_send(Connection *s, const void *data, size_t n)
{
        assert(!s->connecting);
        int r = buffer_append(&s->input, data, n);
        assert(r == 0);
        if (!s->paused)
                s->callbacks.readable(s, s->userdata);
}

void fake_connection_half_close(Connection *s)
{
        if (s->callbacks.half_closed)
                s->callbacks.half_closed(s, s->userdata);
        else
                fake_connection_end(s, 0);
}

void fake_connection_end(Connection *s, int error)
{
        loop_cancel(s->loop, &s->flush);
        s->callbacks.ended(s, error, s->userdata);
}

Buffer *fake_connection_received(Connection *s)
{
        return &s->received;
}

Buffer *fake_connection_last_words(void)
{
        return &last_words;
}

void fake_connection_block(Connection *s, bool block)
{
        s->blocked = block;
        if (!block)
                connection_flush(s);
}

bool fake_connection_is_connecting(const Connection *s)
{
        return s->connecting;
}

bool fake_connection_is_paused(const Connection *s)
{
        return s->paused;
}

void fake_connection_fail(int error, bool later)
{
        fail_open = error;
        fail_later = later;
}

void fake_connection_set_possible(bool possible)
{
        impossible = !possible;
}
