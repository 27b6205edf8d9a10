/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/connection.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd-util.h"
#include "runtime/lookup.h"
#include "runtime/watch.h"

#define READ_CHUNK        65536u
#define READS_PER_WAKE_UP 8u /* one busy peer must not hold up the others */

struct Connection {
        Loop *loop;
        int fd;
        Watch watch;
        LoopWork flush; /* one write for everything that one iteration appended */
        ConnectionCallbacks callbacks;
        void *userdata;
        Buffer input, output;
        bool connecting;
        Lookup *lookup;
        Endpoint endpoints[LOOKUP_MAX]; /* to try, one after the other */
        unsigned n_endpoints, next_endpoint;
        uint64_t silence_usec;
        bool paused;
        bool half_closed;
        int failed;  /* the error of a connect that failed at once; `ended` is called from the loop */
        bool *freed; /* set to true when a callback frees the connection */
};

static void connect_on(Connection *c, int error);

static void update_events(Connection *c)
{
        uint32_t events = 0;

        if (!c->paused && !c->half_closed && !c->connecting)
                events |= EPOLLIN;
        if (c->connecting || buffer_size(&c->output) > 0)
                events |= EPOLLOUT;
        watch_change(&c->watch, events);
}

static void end(Connection *c, int error)
{
        watch_pause(&c->watch, true);
        loop_cancel(c->loop, &c->flush);
        c->callbacks.ended(c, error, c->userdata);
}

/* False: a callback has freed the connection, or it has ended. */
static bool write_some(Connection *c)
{
        bool had_some = buffer_size(&c->output) > 0;

        while (buffer_size(&c->output) > 0) {
                ssize_t n = send(c->fd, buffer_peek(&c->output), buffer_size(&c->output), MSG_NOSIGNAL);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno == EAGAIN)
                                break;
                        end(c, -errno);
                        return false;
                }
                buffer_consume(&c->output, (size_t) n);
        }
        update_events(c);

        if (had_some && buffer_size(&c->output) == 0 && c->callbacks.drained) {
                bool freed = false;
                c->freed = &freed;
                c->callbacks.drained(c, c->userdata);
                if (freed)
                        return false;
                c->freed = NULL;
        }
        return true;
}

/* True: there may be more to read. False also when a callback has freed the connection. */
static bool read_some(Connection *c)
{
        bool freed = false;

        uint8_t *room = buffer_reserve(&c->input, READ_CHUNK);
        if (!room) {
                end(c, -ENOMEM);
                return false;
        }

        ssize_t n = read(c->fd, room, READ_CHUNK);
        if (n < 0) {
                if (errno == EAGAIN || errno == EINTR)
                        return false;
                end(c, -errno);
                return false;
        }
        c->freed = &freed;
        if (n > 0) {
                buffer_added(&c->input, (size_t) n);
                c->callbacks.readable(c, c->userdata);
        } else if (c->callbacks.half_closed) {
                c->half_closed = true;
                update_events(c);
                c->callbacks.half_closed(c, c->userdata);
        } else
                end(c, 0);

        if (freed)
                return false;
        c->freed = NULL;
        return n == READ_CHUNK && !c->paused;
}

static int finish_connect(Connection *c)
{
        int error = 0;
        socklen_t n = sizeof error;

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
                return -errno;
        return -error;
}

static void on_ready(uint32_t events, void *userdata)
{
        Connection *c = userdata;
        bool freed = false;

        if (c->connecting) {
                int r = finish_connect(c);
                if (r < 0) {
                        connect_on(c, r);
                        return;
                }
                c->connecting = false;
                update_events(c);
                c->freed = &freed;
                c->callbacks.connected(c, c->userdata);
                if (!freed)
                        c->freed = NULL;
                return;
        }

        if ((events & EPOLLOUT) && !write_some(c))
                return;
        if ((events & EPOLLIN) || ((events & EPOLLHUP) && !c->half_closed))
                for (unsigned i = 0; i < READS_PER_WAKE_UP && read_some(c); i++)
                        ;
        else if (events & (EPOLLERR | EPOLLHUP)) {
                int r = finish_connect(c);
                end(c, r < 0 ? r : 0);
        }
}

static void on_flush(void *userdata)
{
        Connection *c = userdata;

        if (c->failed < 0)
                end(c, c->failed);
        else if (!c->connecting)
                (void) write_some(c);
}

static int connection_alloc(
                Loop *loop, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        Connection *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        c->loop = loop;
        c->fd = -1;
        c->callbacks = *callbacks;
        c->userdata = userdata;
        c->flush = (LoopWork){.run = on_flush, .userdata = c};
        *ret = c;
        return 0;
}

static int start_watch(Connection *c, int fd)
{
        int r = watch_start_one_of_many(&c->watch, c->loop, fd, EPOLLIN, on_ready, c);

        if (r < 0)
                return r;
        c->fd = fd;
        return 0;
}

int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        _cleanup_(connection_freep) Connection *c = NULL;
        int r = connection_alloc(loop, callbacks, userdata, &c);

        if (r >= 0)
                r = start_watch(c, fd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
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

static int connect_to(Connection *c, const Endpoint *e)
{
        int r;

        _cleanup_close_ int fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (e->address.ss_family != AF_UNIX)
                connection_end_silence(fd, c->silence_usec);
        if (connect(fd, (const struct sockaddr *) &e->address, e->size) < 0 && errno != EINPROGRESS)
                return -errno;
        r = start_watch(c, fd);
        if (r < 0)
                return r;
        (void) TAKE_FD(fd);
        update_events(c);
        return 0;
}

/* Tries the next endpoint after the one before failed with `error`. Without one the connection ends. */
static void connect_on(Connection *c, int error)
{
        watch_stop(&c->watch);
        (void) close_clear(&c->fd);
        while (c->next_endpoint < c->n_endpoints) {
                int r = connect_to(c, c->endpoints + c->next_endpoint++);
                if (r >= 0)
                        return;
                error = r;
        }
        c->failed = error;
        connection_flush(c);
}

static void on_looked_up(const LookupAnswer *answer, void *userdata)
{
        Connection *c = userdata;

        memcpy(c->endpoints, answer->endpoints, answer->n * sizeof answer->endpoints[0]);
        c->n_endpoints = answer->n;
        connect_on(c, answer->error < 0 ? answer->error : -EHOSTUNREACH);
        c->lookup = lookup_free(c->lookup);
}

int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        _cleanup_(connection_freep) Connection *c = NULL;
        int r;

        r = connection_alloc(loop, callbacks, userdata, &c);
        if (r < 0)
                return r;
        c->connecting = true;
        c->silence_usec = silence_usec;
        r = address_to_sockaddr(address, &c->endpoints[0].address, &c->endpoints[0].size);
        if (r >= 0) {
                c->n_endpoints = 1;
                connect_on(c, 0);
        } else if (address->kind == ADDRESS_TCP)
                r = lookup_start(loop, address, on_looked_up, c, &c->lookup);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

bool connection_is_possible(const Address *address)
{
        return address->kind != ADDRESS_UNIX || access(address->host, F_OK) >= 0;
}

Connection *connection_free(Connection *c)
{
        if (!c)
                return NULL;
        if (c->freed)
                *c->freed = true;
        c->lookup = lookup_free(c->lookup);
        loop_cancel(c->loop, &c->flush);
        watch_stop(&c->watch);
        (void) close_clear(&c->fd);
        buffer_clear(&c->input);
        buffer_clear(&c->output);
        free(c);
        return NULL;
}

Buffer *connection_input(Connection *c)
{
        return &c->input;
}

Buffer *connection_output(Connection *c)
{
        return &c->output;
}

void connection_flush(Connection *c)
{
        loop_defer(c->loop, &c->flush);
}

size_t connection_output_size(const Connection *c)
{
        return buffer_size(&c->output);
}

size_t connection_unsent(const Connection *c)
{
        int queued = 0;

        if (ioctl(c->fd, SIOCOUTQ, &queued) < 0 || queued < 0)
                queued = 0;
        return connection_output_size(c) + (size_t) queued;
}

void connection_pause(Connection *c, bool paused)
{
        /* Calls update_events() only after a change: while output waits for its flush, each call would cost
         * two more system calls. */
        if (paused == c->paused)
                return;
        c->paused = paused;
        update_events(c);
}

void connection_shutdown(Connection *c)
{
        (void) shutdown(c->fd, SHUT_WR);
}

void connection_write_now(Connection *c)
{
        ssize_t n = 0;

        if (buffer_size(&c->output) > 0 && !c->connecting)
                n = send(c->fd, buffer_peek(&c->output), buffer_size(&c->output),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
                buffer_consume(&c->output, (size_t) n);
}

void connection_refuse(int fd, const void *data, size_t n)
{
        (void) !send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) close(fd);
}
