/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/bulk.h"

#include <errno.h>
#include <stdio.h>
#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/state/message.h"
#include "runtime/connection.h"
#include "wire/frame.h"

#define LABEL_WORD_MAX (2 * NAME_MAX_LENGTH + 2)

struct Bulk {
        Client *client;
        Connection *connection;
        BulkOptions options;  /* its strings are owned */
        uint64_t last_number; /* of the newest submission */
        size_t n_inserting;   /* submissions that are being written to disk */
        size_t n_open;        /* messages that use credit */
        Message *messages;    /* the program waits for their ends */

        uint64_t first_accepted; /* number of the first entry in `accepted` */
        Buffer accepted;         /* ids for the next ACCEPTED, in order */

        bool finished;                /* the program submits no more */
        bool ending;                  /* read no more; close the socket when all output is written */
        bool has_gap;                 /* there was no memory for an answer; none may follow it */
        char mistake[ERROR_TEXT_MAX]; /* the program's mistake; written last */
        Bulk *prev, *next;
};

static void options_clear(BulkOptions *o)
{
        Submission *s = &o->submission;

        free((char *) s->target);
        free((char *) s->queue);
        free((char *) s->key);
}

static void forget_messages(Bulk *s)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(s->messages, m, next, bulk.next)
        {
                m->bulk.program = NULL;
                message_release(m);
        }
        s->messages = NULL;
}

/* Insertions in progress still point to `s`, so the last one frees it. */
static void release(Bulk *s)
{
        if (s->connection || s->n_inserting > 0)
                return;
        DL_DELETE(s->client->bulk.programs, s);
        s->client->bulk.n_programs--;
        buffer_clear(&s->accepted);
        options_clear(&s->options);
        free(s);
}

static void hang_up(Bulk *s)
{
        s->connection = connection_free(s->connection);
        forget_messages(s);
        release(s);
}

/* There is no memory for an answer: the socket is closed, so the program does not wait for it. */
static void leave_gap(Bulk *s)
{
        s->has_gap = s->ending = true;
}

static void say(Bulk *s, const Frame *f)
{
        if (!s->connection || s->has_gap)
                return;
        if (frame_encode(connection_output(s->connection), f) < 0)
                leave_gap(s);
        connection_flush(s->connection);
}

static void fail(Bulk *s, const char *text)
{
        log_debug("Ending a bulk submission: %s", text);
        (void) snprintf(s->mistake, sizeof s->mistake, "%s", text);
        s->ending = true;
        connection_pause(s->connection, true);
}

static void tell_accepted(Bulk *s)
{
        Frame f = {
                        .type = FRAME_ACCEPTED,
                        .accepted = {s->first_accepted,
                                        {buffer_peek(&s->accepted), buffer_size(&s->accepted)}},
        };

        if (buffer_size(&s->accepted) == 0)
                return;
        say(s, &f);
        buffer_consume(&s->accepted, buffer_size(&s->accepted));
}

static void refuse(Bulk *s, uint64_t number, int r, const char *text)
{
        const char *reason = submit_error_name(r);

        tell_accepted(s);
        say(s, &(Frame){.type = FRAME_REFUSED,
                               .refused = {number, {(const uint8_t *) reason, strlen(reason)},
                                               {(const uint8_t *) text, strlen(text)}}});
}

static void accept_one(Bulk *s, uint64_t number, const Message *m)
{
        uint64_t next = s->first_accepted + buffer_size(&s->accepted) / sizeof m->record.id;

        if (buffer_size(&s->accepted) > 0 && number != next)
                tell_accepted(s);
        if (buffer_size(&s->accepted) == 0)
                s->first_accepted = number;
        if (buffer_append(&s->accepted, &m->record.id, sizeof m->record.id) < 0) {
                tell_accepted(s);
                leave_gap(s);
        }
}

static void tell_settled(Bulk *s, uint64_t number, const OutboxRecord *record)
{
        static const SettlementEnd ends[] = {
                        [DELIVERY_ACKED] = SETTLEMENT_ACKED,
                        [DELIVERY_REJECTED] = SETTLEMENT_REJECTED,
                        [DELIVERY_CANCELLED] = SETTLEMENT_CANCELLED,
                        [DELIVERY_DEAD] = SETTLEMENT_DEAD,
        };
        const char *error = record->error ?: "";
        SettlementFrame f = {.number = number, .attempts = record->attempts, .end = ends[record->state]};

        f.cut = record->state == DELIVERY_ACKED && record->reply_cut && s->options.reply_cut;
        if (record->state == DELIVERY_ACKED)
                f.data = (Bytes){record->reply, record->reply_size};
        else
                f.data = (Bytes){(const uint8_t *) error, strlen(error)};
        tell_accepted(s);
        say(s, &(Frame){.type = FRAME_SETTLEMENT, .settlement = f});
        s->n_open--;
}

void bulk_ended(Message *m)
{
        Bulk *s = m->bulk.program;

        if (!s)
                return;
        DL_DELETE2(s->messages, m, bulk.prev, bulk.next);
        m->bulk.program = NULL;
        tell_settled(s, m->bulk.number, &m->record);
}

static void on_submitted(Message *m, int r, uint64_t number, void *userdata)
{
        Bulk *s = userdata;

        s->n_inserting--;
        if (!s->connection) {
                release(s);
                return;
        }
        /* `taken`: the key belongs to an earlier message, and a program waits for its end already. */
        bool taken = r >= 0 && m->bulk.program && s->options.settlements;
        if (r < 0 || taken) {
                s->n_open--;
                refuse(s, number, taken ? -EEXIST : r,
                                taken ? "another program waits for the message with that key already"
                                      : strerror(-r));
                return;
        }
        accept_one(s, number, m);
        if (!s->options.settlements)
                s->n_open--;
        else if (delivery_state_is_final(m->record.state))
                tell_settled(s, number, &m->record);
        else {
                m->bulk.program = s;
                m->bulk.number = number;
                DL_APPEND2(s->messages, m, bulk.prev, bulk.next);
        }
}

static int read_attributes(Submission *s, Bytes attributes, char keys[2][KEY_MAX_LENGTH + 1], Error *error)
{
        Bytes value;
        uint8_t tag;

        while (frame_next_attribute(&attributes, &tag, &value)) {
                if (tag != ATTRIBUTE_KEY && tag != ATTRIBUTE_IDEMPOTENCY_KEY)
                        continue;
                char *key = keys[tag == ATTRIBUTE_IDEMPOTENCY_KEY];
                if (value.size > KEY_MAX_LENGTH || memchr(value.data, 0, value.size))
                        return error_set(error, -EINVAL, "a key has from 1 to %u bytes, none of them zero",
                                        KEY_MAX_LENGTH);
                memcpy(key, value.data, value.size);
                key[value.size] = '\0';
                *(tag == ATTRIBUTE_KEY ? &s->key : &s->idempotency_key) = key;
        }
        return attributes.size > 0 ? error_set(error, -EINVAL, "the attributes are malformed") : 0;
}

static void submit(Bulk *s, const SubmitFrame *f)
{
        Submission *one = &s->options.submission; /* it is large, so fill it in and do not copy it */
        const char *common_key = one->key;
        char keys[2][KEY_MAX_LENGTH + 1];
        Error error;
        int r;

        error.text[0] = '\0';
        one->payload = f->payload.data;
        one->size = f->payload.size;
        one->number = ++s->last_number;
        r = read_attributes(one, f->attributes, keys, &error);
        s->n_inserting++;
        s->n_open++;
        if (r >= 0)
                r = client_submit(s->client, one, on_submitted, s, &error);
        one->key = common_key;
        one->idempotency_key = NULL;
        if (r >= 0)
                return;
        s->n_inserting--;
        s->n_open--;
        refuse(s, s->last_number, r, error.text[0] ? error.text : strerror(-r));
}

static bool may_read(const Bulk *s)
{
        return s->connection && !s->ending && s->n_open < BULK_CREDIT &&
               s->client->submit.n_bytes < INSERTING_BYTES_MAX &&
               connection_output_size(s->connection) < BULK_OUTPUT_MAX;
}

static void read_frames(Bulk *s)
{
        Buffer *in = connection_input(s->connection);
        Error error = {};
        Frame f;

        while (may_read(s)) {
                ssize_t n = frame_decode(buffer_peek(in), buffer_size(in), FRAME_BODY_MAX, &f, NULL, &error);

                if (n == 0 && s->finished && buffer_size(in) > 0)
                        fail(s, "the last frame is cut off");
                if (n == 0)
                        break;
                if (n < 0 || f.type != FRAME_SUBMIT) {
                        fail(s, n < 0 ? error.text : "only SUBMIT frames are allowed here");
                        break;
                }
                submit(s, &f.submit);
                buffer_consume(in, (size_t) n);
        }
        connection_pause(s->connection, !may_read(s));
}

static void tell_mistake(Bulk *s)
{
        Frame f = {.type = FRAME_ERROR, .text = {(const uint8_t *) s->mistake, strlen(s->mistake)}};

        if (s->mistake[0] == '\0')
                return;
        tell_accepted(s);
        say(s, &f);
        s->mistake[0] = '\0';
}

/* Closes the socket if the program reads too slowly, or if nothing is left to write. */
static void look(Bulk *s)
{
        if (s->connection && connection_output_size(s->connection) > BULK_OUTPUT_END) {
                log_warning("A program that sends in bulk does not read its answers: closing its socket");
                hang_up(s);
                return;
        }
        if (!s->connection || s->n_inserting > 0)
                return;
        tell_mistake(s);
        if (connection_output_size(s->connection) == 0 && (s->ending || (s->finished && s->n_open == 0)))
                hang_up(s);
}

static void on_readable(Connection *stream, void *userdata)
{
        read_frames(userdata);
        look(userdata);
}

static void on_half_closed(Connection *stream, void *userdata)
{
        Bulk *s = userdata;

        s->finished = true;
        read_frames(s);
        look(s);
}

static void on_ended(Connection *stream, int error, void *userdata)
{
        hang_up(userdata);
}

static void on_drained(Connection *stream, void *userdata)
{
        Bulk *s = userdata;

        read_frames(s);
        look(s);
}

void bulk_flush(Client *c)
{
        Bulk *s, *next;

        DL_FOREACH_SAFE(c->bulk.programs, s, next) {
                if (!s->connection)
                        continue;
                tell_accepted(s);
                read_frames(s);
                look(s);
        }
}

static int options_copy(Client *c, BulkOptions *to, const BulkOptions *from, Error *error)
{
        char *target = NULL, *key = NULL, *queue = NULL;
        int r;

        *to = *from;
        to->submission.quiet = !from->signals;
        to->submission.target = to->submission.key = NULL;
        r = str_replace(&target, from->submission.target);
        if (r >= 0 && from->submission.key)
                r = str_replace(&key, from->submission.key);
        to->submission.target = target;
        to->submission.key = key;
        if (r >= 0 && from->submission.mode == SELECTOR_ANY)
                r = submission_queue(c, &to->submission, &queue, error);
        to->submission.queue = queue;
        return r;
}

int bulk_open(Client *c, int fd, const BulkOptions *options, Error *error)
{
        static const ConnectionCallbacks callbacks = {
                        .readable = on_readable,
                        .half_closed = on_half_closed,
                        .ended = on_ended,
                        .drained = on_drained,
        };
        Bulk *s;
        int r;

        if (c->bulk.n_programs >= BULK_MAX)
                return error_set(error, -EMFILE, "%u programs are submitting in bulk already", BULK_MAX);
        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->client = c;
        r = options_copy(c, &s->options, options, error);
        if (r >= 0)
                r = connection_new(c->loop, fd, &callbacks, s, &s->connection);
        if (r < 0) {
                options_clear(&s->options);
                free(s);
                return r;
        }
        DL_APPEND(c->bulk.programs, s);
        c->bulk.n_programs++;
        say(s, &(Frame){.type = FRAME_CREDIT, .credit = BULK_CREDIT});
        return 0;
}

void bulk_clear(Client *c)
{
        Bulk *s, *next;

        DL_FOREACH_SAFE(c->bulk.programs, s, next)
                hang_up(s);
}
