/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/conn-inside.h"

#include <errno.h>

#include "base/log.h"
#include "base/random.h"
#include "base/str-util.h"
#include "runtime/journal.h"

#define HELLO_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define TEXT_SILENCE_USEC  (50 * USEC_PER_MSEC)
/* The peer has so much time to read the last output before the connection is closed. */
#define LINGER_USEC (2 * USEC_PER_SEC)
/* More than the answers to all messages that may be open in one stream: a peer that reads never has so much
 * unread. Its connection ends; the outcomes are recorded, and it gets them when it asks again. */
#define OUTPUT_MAX ((size_t) 128 << 20)

Conn *conns_find(Conns *cs, uint64_t id)
{
        if (!cs->recent || cs->recent->id != id)
                HASH_FIND(hh, cs->by_id, &id, sizeof id, cs->recent);
        return cs->recent;
}

static void leave_open(Conn *c)
{
        if (c->state != CONN_OPEN)
                return;
        c->credit = 0;
        turn_leave(&c->conns->turns, &c->turn);
        c->conns->n_open--;
        loop_defer(c->conns->loop, &c->conns->share);
}

Conn *conn_free(Conn *c)
{
        if (!c)
                return NULL;
        leave_open(c);
        HASH_DEL(c->conns->by_id, c);
        if (c->conns->recent == c)
                c->conns->recent = NULL;
        c->conns->n--;
        timer_clear(&c->timer);
        connection_free(c->connection);
        free(c->sender_name);
        free(c);
        return NULL;
}

/* Only from callbacks of the loop. Defers the work that may wait for the end of a connection. */
static void conn_gone(Conn *c)
{
        Conns *cs = c->conns;

        conn_free(c);
        loop_defer(cs->loop, cs->idle_check);
}

void conn_end(Conn *c)
{
        if (c->state == CONN_ENDING)
                return;
        leave_open(c);
        c->state = CONN_ENDING;
        connection_pause(c->connection, false);
        (void) timer_arm_in(&c->timer, connection_output_size(c->connection) > 0 ? LINGER_USEC : 0);
}

void conn_send(Conn *c, const Frame *f)
{
        if (c->state == CONN_ENDING)
                return;
        if (frame_encode(connection_output(c->connection), f) < 0) {
                log_error("Cannot write a frame: out of memory");
                conn_end(c);
                return;
        }
        if (connection_output_size(c->connection) > OUTPUT_MAX) {
                log_warning("A sender does not read its answers: ending its connection");
                conn_end(c);
                return;
        }
        connection_flush(c->connection);
}

static void conn_refuse(Conn *c, const char *text)
{
        conn_send(c, &(Frame){.type = FRAME_ERROR, .text = {(const uint8_t *) text, strlen(text)}});
        conn_end(c);
}

/* Credit. */

unsigned conns_share_of(const Conns *cs, size_t i)
{
        unsigned capacity = depth_capacity(cs->depth, cs->config), n = (unsigned) cs->n_open;

        return capacity / n + (i < capacity % n);
}

/* A new connection first gets the credit that no other one has; a CREDIT frame then brings its full share.
 */
static uint32_t first_credit(const Conns *cs)
{
        uint64_t capacity = depth_capacity(cs->depth, cs->config), granted = 0;

        for (const Conn *c = cs->by_id; c; c = c->hh.next)
                granted += c->credit;
        return (uint32_t) MIN(capacity > granted ? capacity - granted : 0,
                        (uint64_t) conns_share_of(cs, cs->n_open));
}

/* Frames in. The bytes of a frame are lent for the call. 0, or negative errno with the reason. */

static void welcome(Conn *c)
{
        const Conns *cs = c->conns;
        const ReceiverInfo *info = cs->info;

        conn_send(c, &(Frame){.type = FRAME_WELCOME,
                                     .welcome = {.receiver = info->id,
                                                     .instance = info->instance,
                                                     .credit = c->credit,
                                                     .window = STREAM_WINDOW,
                                                     .max_payload = (uint32_t) cs->config->max_payload,
                                                     .name = {(const uint8_t *) info->name,
                                                                     strlen(info->name)}}});
}

static int on_hello(Conn *c, const Frame *f, Error *error)
{
        char ours[SD_ID128_UUID_STRING_MAX];
        Conns *cs = c->conns;

        if (!condition_permits(cs->condition, MAY_GREET))
                return error_set(error, -EAGAIN, "this receiver has no id of its own yet");
        if (!sd_id128_equal(f->hello.receiver, cs->info->id))
                return error_set(error, -EPERM, "this receiver is %s",
                                sd_id128_to_uuid_string(cs->info->id, ours));
        c->sender = f->hello.sender;
        c->sender_name = str_printable(f->hello.name.data, f->hello.name.size, f->hello.name.size);
        if (!c->sender_name)
                return -ENOMEM;
        timer_disarm(&c->timer);
        c->state = CONN_OPEN;
        cs->n_open++;
        c->credit = first_credit(cs);
        welcome(c);
        log_debug("Sender %s is connected", c->sender_name);
        loop_defer(cs->loop, &cs->share);
        return 0;
}

static Sender sender_of(const Conn *c)
{
        return (Sender){.conn = c->id, .id = c->sender, .name = c->sender_name};
}

static int on_message(Conn *c, const Frame *f, Error *error)
{
        Sender sender = sender_of(c);

        return c->conns->events.message(&sender, &f->message, error, c->conns->userdata);
}

static int on_cancel(Conn *c, const Frame *f, Error *error)
{
        Sender sender = sender_of(c);

        return c->conns->events.cancel(&sender, &f->cancel, error, c->conns->userdata);
}

static int on_settled(Conn *c, const Frame *f, Error *error)
{
        Sender sender = sender_of(c);

        return c->conns->events.settled(&sender, &f->settled, error, c->conns->userdata);
}

static int on_ping(Conn *c, const Frame *f, Error *error)
{
        conn_send(c, &(Frame){.type = FRAME_PONG, .token = f->token});
        return 0;
}

static int on_goodbye(Conn *c, const Frame *f, Error *error)
{
        c->goodbye_received = true;
        loop_defer(c->conns->loop, c->conns->idle_check);
        return 0;
}

static const struct {
        FrameType type;
        ConnState state;
        int (*fn)(Conn *c, const Frame *f, Error *error);
} frame_handlers[] = {
                {FRAME_HELLO, CONN_HELLO, on_hello},
                {FRAME_MESSAGE, CONN_OPEN, on_message},
                {FRAME_CANCEL, CONN_OPEN, on_cancel},
                {FRAME_SETTLED, CONN_OPEN, on_settled},
                {FRAME_PING, CONN_OPEN, on_ping},
                {FRAME_GOODBYE, CONN_OPEN, on_goodbye},
};

static int on_frame(Conn *c, const Frame *f, Error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(frame_handlers); i++)
                if (frame_handlers[i].type == f->type && frame_handlers[i].state == c->state)
                        return frame_handlers[i].fn(c, f, error);
        return error_set(error, -EPROTO, "a frame of type %02x is not allowed here", f->type);
}

static void read_frames(Conn *c)
{
        size_t body_max = c->conns->config->max_payload + ATTRIBUTES_MAX + 128;
        Buffer *in = connection_input(c->connection);
        Error error = {};
        Frame f;

        while ((c->state == CONN_HELLO || c->state == CONN_OPEN) && buffer_size(in) >= MAX(c->need, 1u)) {
                if (connection_output_size(c->connection) > OUTPUT_PAUSE) {
                        connection_pause(c->connection, true);
                        return;
                }
                c->need = 0;
                ssize_t n = frame_decode(buffer_peek(in), buffer_size(in), body_max, &f, &c->need, &error);
                if (n == 0)
                        return;
                int r = n < 0 ? (int) n : on_frame(c, &f, &error);
                if (r < 0) {
                        log_debug("Ending a connection: %s", error.text);
                        conn_refuse(c, error.text[0] ? error.text : strerror(-r));
                        return;
                }
                buffer_consume(in, (size_t) n);
        }
}

/* Plain text. */

static void text_complete(Conn *c)
{
        Sender sender = {.conn = c->id, .name = "a sender of plain text"};
        Buffer *in = connection_input(c->connection);

        timer_disarm(&c->timer);
        c->state = CONN_TEXT_WORKING;
        if (c->conns->events.text(&sender, (Bytes){buffer_peek(in), buffer_size(in)}, c->conns->userdata))
                buffer_consume(in, buffer_size(in));
        else
                conn_end(c);
}

static void read_text(Conn *c)
{
        if (buffer_size(connection_input(c->connection)) <= c->conns->config->max_payload)
                (void) timer_arm_in(&c->timer, TEXT_SILENCE_USEC);
        else
                conn_end(c);
}

static void on_readable(Connection *s, void *userdata)
{
        Conn *c = userdata;
        Buffer *in = connection_input(s);

        if (c->state == CONN_NEW) {
                bool framed = *buffer_peek(in) == FRAME_MAGIC_FIRST;
                if (!framed && !c->conns->config->plain_text)
                        conn_refuse(c, "this receiver takes frames only, no plain text");
                else
                        c->state = framed ? CONN_HELLO : CONN_TEXT;
        }
        if (c->state == CONN_TEXT)
                read_text(c);
        else if (c->state == CONN_HELLO || c->state == CONN_OPEN)
                read_frames(c);
        else
                buffer_consume(in, buffer_size(in));
}

static void on_half_closed(Connection *s, void *userdata)
{
        Conn *c = userdata;

        if (c->state == CONN_TEXT)
                text_complete(c);
        else if (c->state != CONN_TEXT_WORKING &&
                        (c->state != CONN_ENDING || connection_output_size(s) == 0))
                conn_gone(c);
}

static void on_ended(Connection *s, int error, void *userdata)
{
        conn_gone(userdata);
}

static void on_drained(Connection *s, void *userdata)
{
        Conn *c = userdata;

        if (c->state == CONN_ENDING)
                connection_shutdown(s);
        else {
                connection_pause(s, false);
                read_frames(c);
        }
        loop_defer(c->conns->loop, c->conns->idle_check);
}

static void on_timer(void *userdata)
{
        Conn *c = userdata;

        if (c->state == CONN_TEXT)
                text_complete(c);
        else if (c->state == CONN_ENDING)
                conn_gone(c);
        else
                conn_refuse(c, "no HELLO came");
}

int conn_accept(Conns *cs, int fd)
{
        static const ConnectionCallbacks callbacks = {
                        .readable = on_readable,
                        .half_closed = on_half_closed,
                        .ended = on_ended,
                        .drained = on_drained,
        };
        int r;

        Conn *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->conns = cs;
        c->id = ++cs->last_id;
        r = timer_init(&c->timer, cs->loop, "connection", on_timer, c);
        if (r >= 0)
                r = timer_arm_in(&c->timer, HELLO_TIMEOUT_USEC);
        if (r >= 0)
                r = connection_new(cs->loop, fd, &callbacks, c, &c->connection);
        HASH_ADD(hh, cs->by_id, id, sizeof c->id, c);
        cs->n++;
        if (r < 0)
                conn_free(c);
        return r;
}
