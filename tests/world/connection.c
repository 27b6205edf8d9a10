/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* runtime/connection.h. Callbacks run in the same order as those of real connections. */

#include "runtime/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "world/bound.h"
#include "world/dial.h"
#include "world/socket.h"

#define READ_CHUNK        65536u
#define READS_PER_WAKE_UP 8u

struct Connection {
        Source source;
        Owned owned;
        Loop *loop;
        TestSocket *socket;
        Dial *dial;                       /* of a process, while it connects */
        char address[ADDRESS_STRING_MAX]; /* of an outgoing connection */
        bool connecting;                  /* to the test: in the list below */
        bool connected;                   /* the callback `connected` must still run */
        LoopWork flush;
        ConnectionCallbacks callbacks;
        void *userdata;
        Buffer input, output;
        size_t n_told; /* bytes of the output of which the tap knows */
        bool paused, half_closed, ended;
        int failed;
        bool *freed;
        Connection *prev, *next;
};

typedef struct Refusal {
        char address[ADDRESS_STRING_MAX];
        int error;
        struct Refusal *next;
} Refusal;

static Connection *connecting;
static Refusal *refusals;

void connection_world_begin(void)
{
        connecting = NULL;
        refusals = NULL;
}

/* Events. */

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

static bool may_write(const Connection *c)
{
        return buffer_size(&c->output) > 0 && !c->flush.deferred && !c->socket->peer->is_stalled &&
               (!c->socket->is_blocked || c->socket->error < 0);
}

static bool may_read(const Connection *c)
{
        const TestSocket *s = c->socket;

        if (c->paused && !socket_is_hung_up(s))
                return false;
        return socket_n_arrived(s) > 0 || (!c->half_closed && s->peer_is_shut);
}

static void tell_queued(Connection *c)
{
        const size_t size = c->socket ? buffer_size(&c->output) : 0; /* else all of it is told later */

        if (size > c->n_told)
                net_tell(NET_QUEUED, c->socket, NULL, size - c->n_told, 0);
        c->n_told = size;
}

static ssize_t write_output(Connection *c)
{
        tell_queued(c);
        ssize_t n = socket_write(c->socket, buffer_peek(&c->output), buffer_size(&c->output));
        if (n > 0) {
                buffer_consume(&c->output, (size_t) n);
                c->n_told -= (size_t) n;
        }
        return n;
}

static bool write_some(Connection *c)
{
        const size_t size = buffer_size(&c->output);

        if (size == 0 || c->socket->peer->is_stalled)
                return true;
        kill_point();
        ssize_t n = write_output(c);
        if (n < 0 && n != -EAGAIN) {
                end(c, (int) n);
                return false;
        }
        if (buffer_size(&c->output) > 0)
                return true;
        return !c->callbacks.drained || call(c, c->callbacks.drained);
}

/* True: there may be more to read. */
static bool read_bytes(Connection *c, size_t n)
{
        TestSocket *s = c->socket;
        uint8_t *room = buffer_reserve(&c->input, n);

        if (!room) {
                end(c, -ENOMEM);
                return false;
        }
        memcpy(room, buffer_peek(&s->received), n);
        buffer_added(&c->input, n);
        socket_consume(s, n);
        net_tell(NET_DELIVERED, s->peer, room, n, 0);
        return call(c, c->callbacks.readable) && n == READ_CHUNK && !c->paused;
}

/* False also when a callback has freed the connection. */
static bool read_some(Connection *c)
{
        TestSocket *s = c->socket;
        const size_t n = MIN(socket_n_arrived(s), READ_CHUNK);

        kill_point();
        if (n > 0)
                return read_bytes(c, n);
        if (s->error < 0 || !c->callbacks.half_closed) {
                end(c, s->error);
                return false;
        }
        if (!s->peer_is_shut)
                return false;
        c->half_closed = true;
        (void) call(c, c->callbacks.half_closed);
        return false;
}

static bool is_ready(Source *source)
{
        const Connection *c = CONTAINER_OF(source, Connection, source);

        if (c->ended)
                return false;
        if (c->dial)
                return c->dial->is_settled;
        if (c->connecting || c->connected)
                return c->connected || c->failed < 0;
        return may_write(c) || may_read(c) || socket_is_hung_up(c->socket);
}

static void dial_is_settled(Connection *c)
{
        TestSocket *s = c->dial->socket;
        const int error = c->dial->error;

        if (!s && dial_next(c->dial))
                return;
        dial_end(c->dial);
        free(c->dial);
        c->dial = NULL;
        c->socket = s;
        if (!s)
                end(c, error);
        else
                (void) call(c, c->callbacks.connected);
}

static void dispatch(Source *source)
{
        Connection *c = CONTAINER_OF(source, Connection, source);

        if (c->dial)
                dial_is_settled(c);
        else if (c->failed < 0)
                end(c, c->failed);
        else if (c->connected) {
                c->connected = false;
                (void) call(c, c->callbacks.connected);
        } else {
                if (may_write(c) && !write_some(c))
                        return;
                if (may_read(c))
                        for (unsigned i = 0; i < READS_PER_WAKE_UP && read_some(c); i++)
                                ;
                else if (socket_is_hung_up(c->socket))
                        end(c, c->socket->error);
        }
}

static void on_flush(void *userdata)
{
        Connection *c = userdata;

        if (!c->dial && !c->connecting && !c->connected && !c->ended)
                (void) write_some(c);
}

/* Making one. */

static void connection_release(Connection *c)
{
        if (c->connecting)
                DL_DELETE(connecting, c);
        if (c->dial) {
                TestSocket *s = c->dial->socket;

                dial_end(c->dial);
                free(c->dial);
                if (s)
                        socket_close(s, 0);
        }
        if (c->socket)
                socket_close(c->socket, 0);
        source_remove(&c->source);
}

/* The buffers are memory of the process. */
static void connection_reclaim(Owned *o)
{
        Connection *c = CONTAINER_OF(o, Connection, owned);

        connection_release(c);
        free(c);
}

static Connection *connection_alloc(Loop *loop, const ConnectionCallbacks *callbacks, void *userdata)
{
        if (!world_has_memory())
                return NULL;
        HOST_SCOPE;
        Connection *c = calloc(1, sizeof *c);

        assert(c);
        c->loop = loop;
        c->callbacks = *callbacks;
        c->userdata = userdata;
        c->flush = (LoopWork){.run = on_flush, .userdata = c};
        source_add(&c->source, loop, is_ready, dispatch);
        owned_add(&c->owned, connection_reclaim);
        return c;
}

static void socket_reclaim(Owned *o)
{
        TestSocket *s = CONTAINER_OF(o, TestSocket, owned);

        fd_free(s->fd);
        socket_close(s, 0);
}

int socket_accept(TestSocket *s)
{
        s->process = process_current();
        owned_add(&s->owned, socket_reclaim);
        s->fd = fd_new(NULL, s);
        return s->fd;
}

static TestSocket *take_fd(int fd)
{
        TestSocket *s = fd_userdata(fd);

        if (s) {
                fd_free(fd);
                owned_remove(&s->owned);
                s->fd = -1;
                s->process = process_current();
        }
        return s;
}

int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        kill_point();
        if (!fd_userdata(fd))
                return -EBADF;
        Connection *c = connection_alloc(loop, callbacks, userdata);
        if (!c)
                return -ENOMEM;
        c->socket = take_fd(fd);
        *ret = c;
        return 0;
}

static int refusal(const char *address)
{
        for (Refusal *r = refusals; r; r = r->next)
                if (strcmp(r->address, address) == 0)
                        return r->error;
        return 0;
}

/* In a world without processes, or to the test. */
static void open_at_once(Connection *c, const Address *address)
{
        Bound *b = bound_find(NULL, address, NULL);

        socket_note_opened();
        c->failed = refusal(c->address);
        if (c->failed == 0 && b && !bound_is_open(b))
                c->failed = -ECONNREFUSED;
        if (c->failed == 0 && b) {
                c->socket = socket_connect(process_current(), b->process, NULL, address, 0);
                c->connected = true;
                return;
        }
        c->connecting = true;
        DL_APPEND(connecting, c);
}

static int open_in_process(Connection *c, const Address *address, uint64_t silence_usec)
{
        HOST_SCOPE;

        c->dial = calloc(1, sizeof *c->dial);
        assert(c->dial);
        return dial_begin(c->dial, c->loop, address, silence_usec);
}

int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret)
{
        int r = 0;

        kill_point();
        Connection *c = connection_alloc(loop, callbacks, userdata);
        if (!c)
                return -ENOMEM;
        (void) address_format(address, c->address);
        if (process_current() && (address->kind == ADDRESS_TCP || machine_of_path(address->host)))
                r = open_in_process(c, address, silence_usec);
        else
                open_at_once(c, address);
        if (r < 0)
                connection_free(c);
        else
                *ret = c;
        return r;
}

Connection *connection_free(Connection *c)
{
        if (!c)
                return NULL;
        if (c->freed)
                *c->freed = true;
        loop_cancel(c->loop, &c->flush);
        owned_remove(&c->owned);
        connection_release(c);
        buffer_clear(&c->input);
        buffer_clear(&c->output);
        free(c);
        return NULL;
}

bool connection_is_possible(const Address *address)
{
        char text[ADDRESS_STRING_MAX];
        Process *p = process_current();
        Machine *to;

        if (!p || address->kind == ADDRESS_TCP || !machine_of_path(address->host))
                return refusal(address_format(address, text)) != -ENOENT;
        const Bound *b = bound_find(process_machine(p), address, &to);
        return to == process_machine(p) && b && b->has_file;
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
        tell_queued(c);
        loop_defer(c->loop, &c->flush);
}

size_t connection_output_size(const Connection *c)
{
        return buffer_size(&c->output);
}

size_t connection_unsent(const Connection *c)
{
        return connection_output_size(c) + (c->socket ? socket_n_left(c->socket->peer) : 0);
}

void connection_pause(Connection *c, bool paused)
{
        c->paused = paused;
}

void connection_shutdown(Connection *c)
{
        if (c->socket)
                socket_shutdown(c->socket);
}

void connection_write_now(Connection *c)
{
        if (!c->socket || c->connected || c->socket->peer->is_stalled || buffer_size(&c->output) == 0)
                return;
        (void) write_output(c);
}

void connection_refuse(int fd, const void *data, size_t n)
{
        TestSocket *s = take_fd(fd);

        if (!s)
                return;
        if (n > 0)
                (void) socket_write(s, data, n);
        socket_close(s, 0);
}

void connection_end_silence(int fd, uint64_t silence_usec)
{
}

/* For tests. */

TestSocket *world_accept(const char *address)
{
        Connection *c;

        DL_FOREACH(connecting, c)
                if (strcmp(c->address, address) == 0 && c->failed == 0) {
                        TestSocket *own = socket_new_pair(address);

                        c->socket = own->peer;
                        c->socket->process = c->owned.process;
                        c->connecting = false;
                        c->connected = true;
                        DL_DELETE(connecting, c);
                        loop_wake(c->loop);
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
                if (strcmp(c->address, address) == 0) {
                        c->failed = error;
                        loop_wake(c->loop);
                }
}

unsigned world_n_connecting(const char *address)
{
        unsigned n = 0;
        Connection *c;

        DL_FOREACH(connecting, c)
                n += strcmp(c->address, address) == 0 && c->failed == 0;
        return n;
}
