/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/conn.h"

#include <errno.h>

#include "base/log.h"
#include "base/random.h"
#include "base/str-util.h"
#include "receiver/receiver.h"
#include "runtime/connection.h"
#include "runtime/journal.h"

#define HELLO_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define TEXT_SILENCE_USEC  (50 * USEC_PER_MSEC)
/* What was said last shall arrive: the peer may read so long before the connection is closed. */
#define LINGER_USEC (2 * USEC_PER_SEC)
/* A peer that does not read its answers is not read either. */
#define OUTPUT_PAUSE ((size_t) 1 << 20)
/* More than the answers to all that one sender may have open in a stream: nobody who reads has so much
 * before him. What was answered is recorded, and told again to who comes back. */
#define OUTPUT_MAX ((size_t) 128 << 20)

typedef enum ConnState {
        CONN_NEW,          /* nothing has come */
        CONN_HELLO,        /* frames; HELLO has not come */
        CONN_OPEN,         /* frames */
        CONN_TEXT,         /* bare text that has not ended */
        CONN_TEXT_WORKING, /* its handler is queued or running */
        CONN_ENDING,       /* nothing is read any more; closed when the output is out and the peer closes */
} ConnState;

struct Conn {
        Receiver *receiver;
        uint64_t id;
        Connection *stream;
        ConnState state;
        Timer timer; /* HELLO, the silence behind a text, or the last patience */
        size_t need; /* bytes from which on it pays to look for a frame */
        uint32_t credit;
        bool parted; /* no MESSAGE comes any more: it answered GOODBYE */
        sd_id128_t sender;
        char *sender_name;
        UT_hash_handle hh;
};

static Conn *find(const Receiver *r, uint64_t id)
{
        Conn *c;

        HASH_FIND(hh, r->conns.by_id, &id, sizeof id, c);
        return c;
}

void conns_share(Receiver *r)
{
        loop_defer(r->loop, &r->conns.share);
}

static void leave_open(Conn *c)
{
        if (c->state != CONN_OPEN)
                return;
        c->credit = 0;
        c->receiver->conns.n_open--;
        conns_share(c->receiver);
}

static Conn *conn_free(Conn *c)
{
        if (!c)
                return NULL;
        leave_open(c);
        HASH_DEL(c->receiver->conns.by_id, c);
        c->receiver->conns.n--;
        timer_clear(&c->timer);
        connection_free(c->stream);
        free(c->sender_name);
        free(c);
        return NULL;
}

/* For the callbacks of the loop: what waits for a connection to go may go on. */
static void conn_gone(Conn *c)
{
        Receiver *r = c->receiver;

        conn_free(c);
        if (!r->stopping)
                receiver_accept(r, true);
        receiver_progress(r);
}

/* No callback frees the connection while its frames are being read: from here on nothing of it is read, and
 * the loop closes it when what was said is out. */
static void conn_end(Conn *c)
{
        if (c->state == CONN_ENDING)
                return;
        leave_open(c);
        c->state = CONN_ENDING;
        connection_pause(c->stream, false);
        (void) timer_arm_in(&c->timer, connection_output_size(c->stream) > 0 ? LINGER_USEC : 0);
}

static void conn_send(Conn *c, const Frame *f)
{
        if (c->state == CONN_ENDING)
                return;
        if (frame_encode(connection_output(c->stream), f) < 0) {
                log_error("Cannot write a frame: out of memory");
                conn_end(c);
                return;
        }
        if (connection_output_size(c->stream) > OUTPUT_MAX) {
                log_warning("A sender does not read its answers: ending its connection");
                conn_end(c);
                return;
        }
        connection_flush(c->stream);
}

static void conn_refuse(Conn *c, const char *text)
{
        conn_send(c, &(Frame){.type = FRAME_ERROR, .text = {(const uint8_t *) text, strlen(text)}});
        conn_end(c);
}

/* Credit. */

static unsigned share_of(const Receiver *r, size_t i)
{
        size_t n = r->conns.n_open;

        return receiver_capacity(r) / (unsigned) n + (i < receiver_capacity(r) % n);
}

/* Equal shares, the rest to the oldest. What a sender has out beyond a smaller share is taken as it comes,
 * as long as the queue has room. */
static void on_share(void *userdata)
{
        Receiver *r = userdata;
        size_t i = 0;

        for (Conn *c = r->conns.by_id; c; c = c->hh.next) {
                if (c->state != CONN_OPEN)
                        continue;
                unsigned credit = share_of(r, i++);
                if (credit == c->credit)
                        continue;
                c->credit = credit;
                conn_send(c, &(Frame){.type = FRAME_CREDIT, .credit = credit});
        }
}

/* What a newcomer gets at once is what nobody else was promised; its share follows. */
static uint32_t first_credit(const Receiver *r)
{
        uint64_t granted = 0;

        for (const Conn *c = r->conns.by_id; c; c = c->hh.next)
                granted += c->credit;
        uint64_t free_credit = receiver_capacity(r) > granted ? receiver_capacity(r) - granted : 0;
        return (uint32_t) MIN(free_credit, (uint64_t) share_of(r, r->conns.n_open));
}

/* Frames in. Each takes a frame whose bytes are only lent. 0, or negative with the reason. */

static int on_hello(Conn *c, const Frame *f, Error *error)
{
        char ours[SD_ID128_UUID_STRING_MAX];
        Receiver *r = c->receiver;

        if (r->disputed || sd_id128_is_null(r->info.id))
                return error_set(error, -EAGAIN, "this receiver has no id of its own yet");
        if (!sd_id128_equal(f->hello.receiver, r->info.id))
                return error_set(error, -EPERM, "this receiver is %s",
                                sd_id128_to_uuid_string(r->info.id, ours));
        c->sender = f->hello.sender;
        c->sender_name = str_printable(f->hello.name.data, f->hello.name.size, f->hello.name.size);
        if (!c->sender_name)
                return -ENOMEM;
        timer_disarm(&c->timer);
        c->state = CONN_OPEN;
        r->conns.n_open++;
        c->credit = first_credit(r);
        conn_send(c, &(Frame){.type = FRAME_WELCOME,
                                     .welcome = {.receiver = r->info.id,
                                                     .instance = r->info.instance,
                                                     .credit = c->credit,
                                                     .window = STREAM_WINDOW,
                                                     .max_payload = (uint32_t) r->max_payload,
                                                     .name = {(const uint8_t *) r->info.name,
                                                                     strlen(r->info.name)}}});
        log_debug("Sender %s is connected", c->sender_name);
        conns_share(r);
        return 0;
}

static Sender sender_of(const Conn *c)
{
        return (Sender){.conn = c->id, .id = c->sender, .name = c->sender_name};
}

static int on_message(Conn *c, const Frame *f, Error *error)
{
        Sender sender = sender_of(c);

        return job_message(c->receiver, &sender, &f->message, error);
}

static int on_cancel(Conn *c, const Frame *f, Error *error)
{
        Sender sender = sender_of(c);

        return job_cancel(c->receiver, &sender, &f->cancel, error);
}

static int on_settled(Conn *c, const Frame *f, Error *error)
{
        return settle(c->receiver, c->id, &f->settled, error);
}

static int on_ping(Conn *c, const Frame *f, Error *error)
{
        conn_send(c, &(Frame){.type = FRAME_PONG, .token = f->token});
        return 0;
}

static int on_goodbye(Conn *c, const Frame *f, Error *error)
{
        c->parted = true;
        receiver_progress(c->receiver);
        return 0;
}

static const struct {
        FrameType type;
        ConnState state;
        int (*fn)(Conn *c, const Frame *f, Error *error);
} handlers[] = {
                {FRAME_HELLO, CONN_HELLO, on_hello},
                {FRAME_MESSAGE, CONN_OPEN, on_message},
                {FRAME_CANCEL, CONN_OPEN, on_cancel},
                {FRAME_SETTLED, CONN_OPEN, on_settled},
                {FRAME_PING, CONN_OPEN, on_ping},
                {FRAME_GOODBYE, CONN_OPEN, on_goodbye},
};

static int on_frame(Conn *c, const Frame *f, Error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(handlers); i++)
                if (handlers[i].type == f->type && handlers[i].state == c->state)
                        return handlers[i].fn(c, f, error);
        return error_set(error, -EPROTO, "a frame of type %02x has no place here", f->type);
}

static void read_frames(Conn *c)
{
        size_t body_max = c->receiver->max_payload + ATTRIBUTES_MAX + 128;
        Buffer *in = connection_input(c->stream);
        Error error = {};
        Frame f;

        while ((c->state == CONN_HELLO || c->state == CONN_OPEN) && buffer_size(in) >= MAX(c->need, 1u)) {
                if (connection_output_size(c->stream) > OUTPUT_PAUSE) {
                        connection_pause(c->stream, true);
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

/* Bare text. */

static void text_complete(Conn *c)
{
        Sender sender = {.conn = c->id, .name = "a sender of bare text"};
        Buffer *in = connection_input(c->stream);

        timer_disarm(&c->timer);
        c->state = CONN_TEXT_WORKING;
        if (job_text(c->receiver, &sender, (Bytes){buffer_peek(in), buffer_size(in)}))
                buffer_consume(in, buffer_size(in));
        else
                conn_end(c);
}

static void read_text(Conn *c)
{
        if (buffer_size(connection_input(c->stream)) <= c->receiver->max_payload)
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
                if (!framed && !c->receiver->plain_text)
                        conn_refuse(c, "this receiver takes frames only, no bare text");
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
        receiver_progress(c->receiver);
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

int conn_accept(Receiver *r, int fd)
{
        static const ConnectionCallbacks callbacks = {
                        .readable = on_readable,
                        .half_closed = on_half_closed,
                        .ended = on_ended,
                        .drained = on_drained,
        };
        int x;

        Conn *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->receiver = r;
        c->id = ++r->conns.last_id;
        x = timer_init(&c->timer, r->loop, "connection", on_timer, c);
        if (x >= 0)
                x = timer_arm_in(&c->timer, HELLO_TIMEOUT_USEC);
        if (x >= 0)
                x = connection_new(r->loop, fd, &callbacks, c, &c->stream);
        HASH_ADD(hh, r->conns.by_id, id, sizeof c->id, c);
        r->conns.n++;
        if (x < 0)
                conn_free(c);
        return x;
}

/* Answers out. */

static bool ack_is_withheld(const Receiver *r, sd_id128_t message)
{
        char id[SD_ID128_UUID_STRING_MAX];
        uint64_t random;

        if (r->failure_probability <= 0 || random_bytes(&random, sizeof random) < 0)
                return false;
        if ((double) (random >> 11) * 0x1p-53 >= r->failure_probability)
                return false;
        (void) sd_id128_to_uuid_string(message, id);
        journal_event(JOURNAL_ACK_WITHHELD, &(JournalFields){.message = id, .receiver = r->info.name},
                        "Message %s: ack withheld on purpose", id);
        return true;
}

void conn_answer(Receiver *r, uint64_t conn, const AnswerFrame *answer)
{
        Conn *c = find(r, conn);

        if (!c || c->state != CONN_OPEN)
                return;
        /* Said again soon; for who does not read it must not pile up. */
        if (answer->outcome == OUTCOME_WORKING && connection_output_size(c->stream) > OUTPUT_PAUSE)
                return;
        if (answer->outcome == OUTCOME_ACKED && ack_is_withheld(r, answer->message))
                return;
        conn_send(c, &(Frame){.type = FRAME_ANSWER, .answer = *answer});
}

void conn_pruned(Receiver *r, uint64_t conn, sd_id128_t stream)
{
        Conn *c = find(r, conn);

        if (c && c->state == CONN_OPEN)
                conn_send(c, &(Frame){.type = FRAME_PRUNED, .stream = stream});
}

void conn_text_done(Receiver *r, uint64_t conn, bool acked)
{
        Conn *c = find(r, conn);

        if (!c || c->state != CONN_TEXT_WORKING)
                return;
        if (acked && !ack_is_withheld(r, SD_ID128_NULL)) {
                (void) !buffer_append(connection_output(c->stream), "ACK", STRLEN("ACK"));
                connection_flush(c->stream);
        }
        conn_end(c);
}

bool conn_is_open(const Receiver *r, uint64_t conn)
{
        const Conn *c = find(r, conn);

        return c && c->state == CONN_OPEN;
}

void conns_goodbye(Receiver *r, GoodbyeReason reason, bool end)
{
        Conn *c, *next;

        HASH_ITER(hh, r->conns.by_id, c, next) {
                if (c->state == CONN_OPEN)
                        conn_send(c, &(Frame){.type = FRAME_GOODBYE, .reason = reason});
                if (end || (c->state != CONN_OPEN && c->state != CONN_TEXT_WORKING))
                        conn_end(c);
        }
}

bool conns_are_parted(const Receiver *r)
{
        for (const Conn *c = r->conns.by_id; c; c = c->hh.next)
                if (connection_output_size(c->stream) > 0 || (c->state == CONN_OPEN && !c->parted))
                        return false;
        return true;
}

void conns_init(Receiver *r)
{
        r->conns.share = (LoopWork){.run = on_share, .userdata = r};
}

void conns_clear(Receiver *r)
{
        Conn *c, *next;

        HASH_ITER(hh, r->conns.by_id, c, next)
                conn_free(c);
        loop_cancel(r->loop, &r->conns.share);
}
