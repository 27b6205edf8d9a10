/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/lookup.h"
#include "world/inside.h"

/* One end of a connection: the test's end or a daemon's end. A daemon's end has a Connection, or a
 * descriptor until it gets one. */
struct TestSocket {
        TestSocket *peer;
        int fd; /* until a Connection takes it, then -1 */
        Connection *connection;
        Buffer received;
        bool peer_is_shut;   /* no bytes follow after `received` */
        bool peer_is_closed; /* writing fails */
        bool is_stalled;     /* takes no bytes */
        int error;           /* the peer's error; visible at once */
};

struct Connection {
        Source source;
        Loop *loop;
        TestSocket *socket;
        char address[ADDRESS_STRING_MAX]; /* of an outgoing connection */
        bool connecting, connected;       /* connected: the callback `connected` must still run */
        LoopWork flush;
        ConnectionCallbacks callbacks;
        void *userdata;
        Buffer input, output;
        bool paused, half_closed, ended;
        int failed;
        bool *freed;
        Connection *prev, *next; /* the list of connecting ones */
        Connection *all_prev, *all_next;
};

typedef struct Refusal {
        char address[ADDRESS_STRING_MAX];
        int error;
        struct Refusal *next;
} Refusal;

static Connection *connecting, *all;
static Refusal *refusals;

void connection_world_begin(void)
{
        connecting = all = NULL;
        refusals = NULL;
}

/* Sockets. */

static void socket_free(void *p)
{
        TestSocket *s = p;

        buffer_clear(&s->received);
        free(s);
}

static TestSocket *socket_new(void)
{
        TestSocket *s = calloc(1, sizeof *s);

        assert(s);
        s->fd = -1;
        world_free_at_end(socket_free, s);
        return s;
}

int socket_pair(TestSocket **ret)
{
        TestSocket *own = socket_new(), *other = socket_new();

        own->peer = other;
        other->peer = own;
        other->fd = fd_new(NULL, other);
        *ret = own;
        return other->fd;
}

int world_socket(TestSocket **ret)
{
        return socket_pair(ret);
}

static void socket_close(TestSocket *s, int error)
{
        s->peer->peer_is_shut = s->peer->peer_is_closed = true;
        s->peer->error = error;
}

static void socket_write(TestSocket *s, const void *data, size_t n)
{
        assert(buffer_append(&s->peer->received, data, n) >= 0);
}

void world_send(TestSocket *s, const void *data, size_t n)
{
        assert(!s->peer->peer_is_shut);
        socket_write(s, data, n);
}

Buffer *world_received(TestSocket *s)
{
        return &s->received;
}

void world_stall(TestSocket *s, bool stall)
{
        s->is_stalled = stall;
}

void world_shutdown(TestSocket *s)
{
        s->peer->peer_is_shut = true;
}

void world_close(TestSocket *s, int error)
{
        socket_close(s, error);
}

bool world_is_shut(const TestSocket *s)
{
        return s->peer_is_shut;
}

bool world_is_closed(const TestSocket *s)
{
        return s->peer_is_closed;
}

/* Connections. Their callbacks run in the same order as those of real connections. */

static void end(Connection *c, int error)
{
        c->ended = true;
        loop_cancel(c->loop, &c->flush);
        c->callbacks.ended(c, error, c->userdata);
}

/* Returns false if the callback has freed the connection. */
static bool call(Connection *c, void (*fn)(Connection *c, void *userdata))
{
        bool freed = false;

        c->freed = &freed;
        fn(c, c->userdata);
        if (!freed)
                c->freed = NULL;
        return !freed;
}

static bool write_some(Connection *c)
{
        size_t n = buffer_size(&c->output);

        if (n == 0 || c->socket->peer->is_stalled)
                return true;
        if (c->socket->peer_is_closed) {
                end(c, c->socket->error < 0 ? c->socket->error : -EPIPE);
                return false;
        }
        socket_write(c->socket, buffer_peek(&c->output), n);
        buffer_consume(&c->output, n);
        return !c->callbacks.drained || call(c, c->callbacks.drained);
}

static bool read_some(Connection *c)
{
        Buffer *from = &c->socket->received;
        size_t n = buffer_size(from);

        if (n > 0) {
                assert(buffer_append(&c->input, buffer_peek(from), n) >= 0);
                buffer_consume(from, n);
                return call(c, c->callbacks.readable);
        }
        if (!c->callbacks.half_closed) {
                end(c, 0);
                return false;
        }
        c->half_closed = true;
        return call(c, c->callbacks.half_closed);
}

static bool may_write(const Connection *c)
{
        return buffer_size(&c->output) > 0 && !c->flush.deferred && !c->socket->peer->is_stalled;
}

static bool may_read(const Connection *c)
{
        return !c->paused && !c->half_closed &&
               (buffer_size(&c->socket->received) > 0 || c->socket->peer_is_shut);
}

static bool is_ready(Source *source)
{
        const Connection *c = CONTAINER_OF(source, Connection, source);

        if (c->ended)
                return false;
        if (c->connecting || c->connected)
                return c->connected || c->failed < 0;
        return c->socket->error < 0 || may_write(c) || may_read(c);
}

static void dispatch(Source *source)
{
        Connection *c = CONTAINER_OF(source, Connection, source);

        if (c->failed < 0)
                end(c, c->failed);
        else if (c->connected) {
                c->connected = false;
                (void) call(c, c->callbacks.connected);
        } else if (c->socket->error < 0)
                end(c, c->socket->error);
        else if ((!may_write(c) || write_some(c)) && may_read(c))
                (void) read_some(c);
}

static void on_flush(void *userdata)
{
        Connection *c = userdata;

        if (!c->connecting && !c->connected && !c->ended)
                (void) write_some(c);
}

static Connection *connection_alloc(Loop *loop, const ConnectionCallbacks *callbacks, void *userdata)
{
        Connection *c = calloc(1, sizeof *c);

        assert(c);
        c->loop = loop;
        c->callbacks = *callbacks;
        c->userdata = userdata;
        c->flush = (LoopWork){.run = on_flush, .userdata = c};
        source_add(&c->source, loop, is_ready, dispatch);
        DL_APPEND2(all, c, all_prev, all_next);
        return c;
}

int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        TestSocket *s = fd_userdata(fd);

        if (!s)
                return -EBADF;
        fd_free(fd);
        s->fd = -1;
        *ret = s->connection = connection_alloc(loop, callbacks, userdata);
        s->connection->socket = s;
        return 0;
}

static int refusal(const char *address)
{
        for (Refusal *r = refusals; r; r = r->next)
                if (strcmp(r->address, address) == 0)
                        return r->error;
        return 0;
}

static void connect_to(Connection *c, TestSocket *own)
{
        c->socket = own;
        own->connection = c;
        if (own->fd >= 0)
                fd_free(own->fd);
        own->fd = -1;
        if (c->connecting)
                DL_DELETE(connecting, c);
        c->connecting = false;
        c->connected = true;
}

int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        Connection *c = connection_alloc(loop, callbacks, userdata);
        TestSocket *own;

        (void) address_format(address, c->address);
        *ret = c;
        c->failed = refusal(c->address);
        if (c->failed == 0 && listener_is_closed(c->address))
                c->failed = -ECONNREFUSED;
        if (c->failed == 0 && listener_exists(c->address, NULL)) {
                (void) listener_offer(c->address, socket_pair(&own));
                connect_to(c, own);
                return 0;
        }
        c->connecting = true;
        DL_APPEND(connecting, c);
        return 0;
}

unsigned world_cut(const char *address, int error)
{
        unsigned n = 0;
        Connection *c;

        DL_FOREACH2(all, c, all_next)
        if (strcmp(c->address, address) == 0 && c->socket && !c->socket->peer_is_closed) {
                socket_close(c->socket, error);
                socket_close(c->socket->peer, error);
                n++;
        }
        return n;
}

TestSocket *world_connect(const char *address)
{
        TestSocket *own;

        if (!listener_exists(address, NULL))
                return NULL;
        (void) listener_offer(address, socket_pair(&own));
        return own;
}

TestSocket *world_accept(const char *address)
{
        Connection *c;

        DL_FOREACH(connecting, c)
                if (strcmp(c->address, address) == 0 && c->failed == 0) {
                        TestSocket *own;
                        int fd = socket_pair(&own);

                        connect_to(c, fd_userdata(fd));
                        return own;
                }
        return NULL;
}

void world_refuse(const char *address, int error)
{
        Refusal *r = world_alloc(sizeof *r);
        Connection *c;

        assert(strlen(address) < sizeof r->address);
        strcpy(r->address, address);
        r->error = error;
        r->next = refusals;
        refusals = r;
        DL_FOREACH(connecting, c)
                if (strcmp(c->address, address) == 0)
                        c->failed = error;
}

unsigned world_n_connecting(const char *address)
{
        unsigned n = 0;
        Connection *c;

        DL_FOREACH(connecting, c)
                n += strcmp(c->address, address) == 0 && c->failed == 0;
        return n;
}

Connection *connection_free(Connection *c)
{
        if (!c)
                return NULL;
        if (c->freed)
                *c->freed = true;
        if (c->connecting)
                DL_DELETE(connecting, c);
        if (c->socket) {
                socket_close(c->socket, 0);
                c->socket->connection = NULL;
        }
        loop_cancel(c->loop, &c->flush);
        source_remove(&c->source);
        DL_DELETE2(all, c, all_prev, all_next);
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

void connection_pause(Connection *c, bool paused)
{
        c->paused = paused;
}

void connection_shutdown(Connection *c)
{
        c->socket->peer->peer_is_shut = true;
}

void connection_write_now(Connection *c)
{
        if (c->connecting || c->connected || c->socket->peer_is_closed || c->socket->peer->is_stalled)
                return;
        socket_write(c->socket, buffer_peek(&c->output), buffer_size(&c->output));
        buffer_consume(&c->output, buffer_size(&c->output));
}

void connection_refuse(int fd, const void *data, size_t n)
{
        TestSocket *s = fd_userdata(fd);

        if (!s)
                return;
        socket_write(s, data, n);
        socket_close(s, 0);
        fd_free(fd);
}

bool connection_is_possible(const Address *address)
{
        char text[ADDRESS_STRING_MAX];

        return refusal(address_format(address, text)) != -ENOENT;
}

void connection_end_silence(int fd, uint64_t silence_usec)
{
}

/* Connections of this world do not use names, so a look-up finds nothing. */
int lookup_start(Loop *loop, const Address *address,
                void (*done)(const LookupAnswer *answer, void *userdata), void *userdata, Lookup **ret)
{
        return -EHOSTUNREACH;
}

Lookup *lookup_free(Lookup *l)
{
        return NULL;
}
