/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections between clients and receivers. Connections of programs (bulk) are not judged here: callers
 * report what they are told. */
#include "sim/judge-duties.h"

#include <string.h>

static bool is_copy(const JProcess *p)
{
        return p && p->role == ROLE_OTHER;
}

static void open_connection(Judge *j, const Observation *o)
{
        JConnection *c = judge_connection_get(j, o->number);

        c->from = judge_process(j, o->net->from);
        c->to = judge_process(j, o->net->to);
        c->framed = c->from && c->to && (c->from->role == ROLE_CLIENT || is_copy(c->from)) &&
                    (c->to->role == ROLE_RECEIVER || is_copy(c->to));
        c->copied = is_copy(c->from);
        c->to_copy = is_copy(c->to);
        j->copied = j->copied || c->copied;
        if (!c->framed)
                return;
        c->from_start = c->from->starts;
        live_opened(j, c);
}

/* The id that a receiver has from now on. An id that it had before does not come back. */
void receiver_of(Judge *j, JReceiver *r, JProcess *p)
{
        r->process = p;
        p->serving = p->starts;
        if (p->identity && p->identity != r && p->role == ROLE_RECEIVER)
                p->replaced = j->o->index;
        p->identity = r;
}

/* From the client. */

static bool is_same_sender(const JProcess *copy, const JProcess *p, sd_id128_t sender)
{
        return copy->original == p && copy->up && sd_id128_equal(copy->sender, sender);
}

/* If the files of the original were restored from a backup, too, one of the two keeps the id: that whose
 * file for the lock has the number in the backup. */
static void check_sender(Judge *j, const JConnection *c, sd_id128_t sender)
{
        JProcess *p = c->from;
        const JProcess *original = p->original, *copy = NULL;

        p->sender = sender;
        if (sd_id128_is_null(sender))
                return;
        if (c->copied && original && sd_id128_equal(original->sender, sender))
                copy = p;
        for (unsigned i = 0; i < J_PROCESSES_MAX && !original; i++)
                if (is_same_sender(j->processes + i, p, sender))
                        copy = j->processes + i;
        if (copy)
                breach(j, RULE_ID_IS_UNIQUE, NULL, p,
                                "%s, a copy of %s, and the original greet under the id %s",
                                text_process(copy), text_process(copy->original), text_id(sender));
}

static void wrote_hello(Judge *j, const Observation *o, JConnection *c)
{
        if (c->hello)
                breach(j, RULE_HELLO_FIRST, NULL, c->from, "%s wrote HELLO twice on connection %llu to %s",
                                text_process(c->from), (unsigned long long) c->number, text_process(c->to));
        c->hello = true;
        c->expected = o->frame->hello.receiver;
        check_sender(j, c, o->frame->hello.sender);
}

/* A connection whose other side answers no PING, and reads nothing, ends. It is asked once more if the
 * client was late, or if the other side has taken more of its bytes. What the network swallows counts as
 * taken, so plans that let it do so are not judged. Not all PINGs leave when they are made. */

#define PINGS_MAX 4u

static void check_ping(Judge *j, JConnection *c)
{
        c->pinged = true;
        if (c->from->disturbed_until >= c->pinged_at)
                c->n_pings = 0;
        if (c->n_pings > 0 && j->o->at < c->pinged_at + j->plan->ack_timeout_usec / 4)
                return;
        c->pinged_at = j->o->at;
        if (++c->n_pings > PINGS_MAX && !j->polls_may_hang)
                breach(j, RULE_FROZEN_IS_FOUND, NULL, c->to,
                                "%s has sent %u PINGs to %s, which has answered none and reads nothing, but "
                                "keeps connection %llu",
                                text_process(c->from), c->n_pings, text_process(c->to),
                                (unsigned long long) c->number);
}

static void from_client(Judge *j, const Observation *o, JConnection *c)
{
        const FrameType type = o->frame->type;

        if (type == FRAME_HELLO) {
                wrote_hello(j, o, c);
                return;
        }
        if (!c->welcomed)
                breach(j, RULE_HELLO_FIRST, NULL, c->from,
                                "%s wrote a frame of type %02x to %s on connection %llu before it had read "
                                "the "
                                "WELCOME of the receiver that it expects",
                                text_process(c->from), type, text_process(c->to),
                                (unsigned long long) c->number);
        if (!c->receiver)
                return;
        switch (type) {
        case FRAME_MESSAGE:
                message_written(j, o, c);
                break;
        case FRAME_CANCEL:
                cancel_written(j, o, c);
                break;
        case FRAME_SETTLED:
                streams_settled(j, o, c);
                break;
        case FRAME_GOODBYE:
                c->goodbye_client = true;
                break;
        case FRAME_PING:
                check_ping(j, c);
                break;
        default:
                breach(j, RULE_WIRE_IS_FRAMES, NULL, c->from,
                                "%s wrote a frame of type %02x to %s, which only a receiver sends",
                                text_process(c->from), type, text_process(c->to));
        }
}

static void to_receiver(Judge *j, const Observation *o, JConnection *c)
{
        switch (o->frame->type) {
        case FRAME_MESSAGE:
                message_read(j, o, c);
                break;
        case FRAME_CANCEL:
                cancel_read(j, o, c);
                break;
        case FRAME_SETTLED:
                streams_settled_read(j, o, c);
                break;
        default:
                break;
        }
}

/* From the receiver. */

/* ERROR after WELCOME says that the client broke the protocol, or that there is no memory. Before WELCOME it
 * is the answer of another receiver, or of one without an id. */
static void wrote_error(Judge *j, const Observation *o, const JConnection *c)
{
        const Bytes text = o->frame->text;
        const bool window = memmem(text.data, text.size, "is settled of its stream", 24);
        const bool memory = memmem(text.data, text.size, "Cannot allocate memory", 22);

        if (c->welcome_written && !memory)
                breach(j, window ? RULE_WINDOW_IS_KEPT : RULE_WIRE_IS_FRAMES, NULL, c->from,
                                "%s ended its connection %llu with %s by ERROR: %.*s", text_process(c->to),
                                (unsigned long long) c->number, text_process(c->from), (int) text.size,
                                (const char *) text.data);
        /* The client knows the process under an id that discovery gave it, but that never reached it, or
           that it has lost. What waits for that id waits for ever. */
        else if (!c->welcome_written && memmem(text.data, text.size, "this receiver is ", 17))
                c->to->replaced = j->o->index;
}

static void from_receiver(Judge *j, const Observation *o, JConnection *c)
{
        if (!c->copied)
                duties_written(j, c, o->frame);
        switch (o->frame->type) {
        case FRAME_WELCOME:
                c->welcome_written = true;
                if (!c->to_copy)
                        receiver_of(j, judge_receiver(j, o->frame->welcome.receiver), c->to);
                break;
        case FRAME_ANSWER:
                answer_written(j, o, c);
                break;
        case FRAME_PRUNED:
                stream_pruned(j, o, c);
                break;
        case FRAME_ERROR:
                wrote_error(j, o, c);
                break;
        case FRAME_CREDIT:
        case FRAME_GOODBYE:
        case FRAME_PONG:
                break;
        default:
                breach(j, RULE_WIRE_IS_FRAMES, NULL, c->to,
                                "%s wrote a frame of type %02x to %s, which only a client sends",
                                text_process(c->to), o->frame->type, text_process(c->from));
        }
}

static void read_welcome(Judge *j, JConnection *c, const WelcomeFrame *w)
{
        if (!sd_id128_equal(w->receiver, c->expected) || c->welcomed)
                return; /* the client ends the connection */
        c->welcomed = true;
        c->opened = j->o->index;
        c->opened_at = j->o->at;
        c->window = w->window;
        c->receiver = judge_receiver(j, w->receiver);
        waits_opened(c);
        credit_read(j, c, w->credit);
}

static void to_client(Judge *j, const Observation *o, JConnection *c)
{
        switch (o->frame->type) {
        case FRAME_WELCOME:
                read_welcome(j, c, &o->frame->welcome);
                break;
        case FRAME_CREDIT:
                credit_read(j, c, o->frame->credit);
                turns_told_credit(j, c);
                break;
        case FRAME_ANSWER:
                if (c->welcomed)
                        answer_read(j, o, c);
                break;
        default:
                break;
        }
}

/* A PING may lie in the output: so only where the receiver has read everything, and a message that it has
 * not answered. */
static void check_pinged(Judge *j, const JConnection *c)
{
        if (c->from->silent != c->to->number + 1)
                return;
        if (c->welcomed && !c->pinged && !j->o->flagged && c->n_unread == 0 && c->n_flight > 0)
                breach(j, RULE_FROZEN_IS_FOUND, NULL, c->from,
                                "%s ends its connection %llu to %s, since that is silent, but has not asked "
                                "by PING",
                                text_process(c->from), (unsigned long long) c->number, text_process(c->to));
        c->from->silent = 0;
}

static void closed(Judge *j, const Observation *o, JConnection *c)
{
        if (judge_process(j, o->net->from) == c->from) {
                c->closed = true;
                c->closed_at = j->o->at;
                check_pinged(j, c);
        } else
                duties_closed(c, o->net->error);
}

void wire_see(Judge *j, const Observation *o)
{
        if (o->kind == OBS_OPEN) {
                open_connection(j, o);
                return;
        }
        JConnection *c = judge_connection(j, o->number);
        if (!c || !c->framed)
                return;
        const bool by_client = judge_process(j, o->net->from) == c->from;

        if (o->kind == OBS_CLOSE)
                closed(j, o, c);
        else if (o->kind == OBS_GARBAGE)
                breach(j, RULE_WIRE_IS_FRAMES, NULL, by_client ? c->from : c->to,
                                "%s wrote to %s what is no frame: %s",
                                text_process(by_client ? c->from : c->to),
                                text_process(by_client ? c->to : c->from), o->text ? o->text : "");
        else if (o->kind == OBS_WRITE)
                (by_client ? from_client : from_receiver)(j, o, c);
        else
                (by_client ? to_receiver : to_client)(j, o, c);
        if (o->kind == OBS_DELIVER)
                c->n_pings = 0;
        c->n_unread += by_client && o->kind == OBS_WRITE;
        c->n_unread -= by_client && o->kind == OBS_DELIVER;
}
