/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd-util.h"
#include "runtime/lookup.h"
#include "runtime/watch.h"

#define READ_CHUNK        65536u
#define READS_PER_WAKE_UP 8u /* so that one busy peer cannot keep the loop */

struct Connection {
        Loop *loop;
        int fd;
        Watch watch;
        LoopWork flush; /* so that one write takes what all callbacks of an iteration appended */
        ConnectionCallbacks callbacks;
        void *userdata;
        Buffer input, output;
        bool connecting;
        Lookup *lookup;
        Endpoint endpoints[LOOKUP_MAX]; /* to connect to, in turn */
        unsigned n_endpoints, next_endpoint;
        uint64_t silence_usec;
        bool paused;
        bool half_closed;
        int failed;  /* a connect that failed at once, told from the loop */
        bool *freed; /* set when the stream goes away inside a callback */
};

static void connect_on(Connection *s, int error);

static void update_events(Connection *s)
{
        uint32_t events = 0;

        if (!s->paused && !s->half_closed && !s->connecting)
                events |= EPOLLIN;
        if (s->connecting || buffer_size(&s->output) > 0)
                events |= EPOLLOUT;
        watch_change(&s->watch, events);
}

static void connection_end(Connection *s, int error)
{
        watch_pause(&s->watch, true);
        loop_cancel(s->loop, &s->flush);
        s->callbacks.ended(s, error, s->userdata);
}

/* True while the stream lives. */
static bool connection_write(Connection *s)
{
        bool had_some = buffer_size(&s->output) > 0;

        while (buffer_size(&s->output) > 0) {
                ssize_t n = send(s->fd, buffer_peek(&s->output), buffer_size(&s->output), MSG_NOSIGNAL);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno == EAGAIN)
                                break;
                        connection_end(s, -errno);
                        return false;
                }
                buffer_consume(&s->output, (size_t) n);
        }
        update_events(s);

        if (had_some && buffer_size(&s->output) == 0 && s->callbacks.drained) {
                bool freed = false;
                s->freed = &freed;
                s->callbacks.drained(s, s->userdata);
                if (freed)
                        return false;
                s->freed = NULL;
        }
        return true;
}

/* True while the stream lives and there may be more to read. */
static bool connection_read_some(Connection *s)
{
        bool freed = false;

        uint8_t *room = buffer_reserve(&s->input, READ_CHUNK);
        if (!room) {
                connection_end(s, -ENOMEM);
                return false;
        }

        ssize_t n = read(s->fd, room, READ_CHUNK);
        if (n < 0) {
                if (errno == EAGAIN || errno == EINTR)
                        return false;
                connection_end(s, -errno);
                return false;
        }
        s->freed = &freed;
        if (n > 0) {
                buffer_added(&s->input, (size_t) n);
                s->callbacks.readable(s, s->userdata);
        } else if (s->callbacks.half_closed) {
                s->half_closed = true;
                update_events(s);
                s->callbacks.half_closed(s, s->userdata);
        } else
                connection_end(s, 0);

        if (freed)
                return false;
        s->freed = NULL;
        return n == READ_CHUNK && !s->paused;
}

static int finish_connect(Connection *s)
{
        int error = 0;
        socklen_t n = sizeof error;

        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
                return -errno;
        return -error;
}

static void on_ready(uint32_t events, void *userdata)
{
        Connection *s = userdata;
        bool freed = false;

        if (s->connecting) {
                int r = finish_connect(s);
                if (r < 0) {
                        connect_on(s, r);
                        return;
                }
                s->connecting = false;
                update_events(s);
                s->freed = &freed;
                s->callbacks.connected(s, s->userdata);
                if (!freed)
                        s->freed = NULL;
                return;
        }

        if ((events & EPOLLOUT) && !connection_write(s))
                return;
        if ((events & EPOLLIN) || ((events & EPOLLHUP) && !s->half_closed))
                for (unsigned i = 0; i < READS_PER_WAKE_UP && connection_read_some(s); i++)
                        ;
        else if (events & (EPOLLERR | EPOLLHUP)) {
                int r = finish_connect(s);
                connection_end(s, r < 0 ? r : 0);
        }
}

static void on_flush(void *userdata)
{
        Connection *s = userdata;

        if (s->failed < 0)
                connection_end(s, s->failed);
        else if (!s->connecting)
                (void) connection_write(s);
}

static int stream_alloc(Loop *loop, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        Connection *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->loop = loop;
        s->fd = -1;
        s->callbacks = *callbacks;
        s->userdata = userdata;
        s->flush = (LoopWork){.run = on_flush, .userdata = s};
        *ret = s;
        return 0;
}

static int start_watch(Connection *s, int fd)
{
        int r = watch_start(&s->watch, s->loop, fd, EPOLLIN, on_ready, s);

        if (r < 0)
                return r;
        s->fd = fd;
        return 0;
}

int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        _cleanup_(connection_freep) Connection *s = NULL;
        int r = stream_alloc(loop, callbacks, userdata, &s);

        if (r >= 0)
                r = start_watch(s, fd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void connection_end_silence(int fd, uint64_t silence_usec)
{
        unsigned silence_ms = (unsigned) MIN(silence_usec / USEC_PER_MSEC, (uint64_t) UINT32_MAX);
        int on = 1, idle = (int) MAX(silence_ms / 2000, 1u), interval = 1, count = 3;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms);
}

static int connect_to(Connection *s, const Endpoint *e)
{
        int r;

        _cleanup_close_ int fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (e->address.ss_family != AF_UNIX)
                connection_end_silence(fd, s->silence_usec);
        if (connect(fd, (const struct sockaddr *) &e->address, e->size) < 0 && errno != EINPROGRESS)
                return -errno;
        r = start_watch(s, fd);
        if (r < 0)
                return r;
        (void) TAKE_FD(fd);
        update_events(s);
        return 0;
}

/* The endpoint before failed: the next one, or the end. */
static void connect_on(Connection *s, int error)
{
        watch_stop(&s->watch);
        (void) close_clear(&s->fd);
        while (s->next_endpoint < s->n_endpoints) {
                int r = connect_to(s, s->endpoints + s->next_endpoint++);
                if (r >= 0)
                        return;
                error = r;
        }
        s->failed = error;
        connection_flush(s);
}

static void on_looked_up(const LookupAnswer *answer, void *userdata)
{
        Connection *s = userdata;

        memcpy(s->endpoints, answer->endpoints, answer->n * sizeof answer->endpoints[0]);
        s->n_endpoints = answer->n;
        connect_on(s, answer->error < 0 ? answer->error : -EHOSTUNREACH);
        s->lookup = lookup_free(s->lookup);
}

int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        _cleanup_(connection_freep) Connection *s = NULL;
        int r;

        r = stream_alloc(loop, callbacks, userdata, &s);
        if (r < 0)
                return r;
        s->connecting = true;
        s->silence_usec = silence_usec;
        r = address_to_sockaddr(address, &s->endpoints[0].address, &s->endpoints[0].size);
        if (r >= 0) {
                s->n_endpoints = 1;
                connect_on(s, 0);
        } else if (address->kind == ADDRESS_TCP)
                r = lookup_start(loop, address, on_looked_up, s, &s->lookup);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

bool connection_is_possible(const Address *address)
{
        return address->kind != ADDRESS_UNIX || access(address->host, F_OK) >= 0;
}

Connection *connection_free(Connection *s)
{
        if (!s)
                return NULL;
        if (s->freed)
                *s->freed = true;
        s->lookup = lookup_free(s->lookup);
        loop_cancel(s->loop, &s->flush);
        watch_stop(&s->watch);
        (void) close_clear(&s->fd);
        buffer_clear(&s->input);
        buffer_clear(&s->output);
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

void connection_pause(Connection *s, bool paused)
{
        /* Output that is about to be flushed must not be watched for: that is two more calls for each
         * answer. */
        if (paused == s->paused)
                return;
        s->paused = paused;
        update_events(s);
}

void connection_shutdown(Connection *s)
{
        (void) shutdown(s->fd, SHUT_WR);
}

void connection_write_now(Connection *s)
{
        ssize_t n = 0;

        if (buffer_size(&s->output) > 0 && !s->connecting)
                n = send(s->fd, buffer_peek(&s->output), buffer_size(&s->output),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
                buffer_consume(&s->output, (size_t) n);
}

void connection_refuse(int fd, const void *data, size_t n)
{
        (void) !send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) close(fd);
}
