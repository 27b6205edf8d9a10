/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/describe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sim/describe-frame.h"
#include "sim/handler.h"
#include "sim/plan-text.h"

typedef struct Name {
        sd_id128_t id; /* null: free */
        uint64_t number;
} Name;

struct Describer {
        const Plan *plan;
        Name *names; /* a hash table */
        size_t n_names, n_slots;
};

Describer *describer_new(const Plan *plan)
{
        Describer *d = calloc(1, sizeof *d);

        assert(d);
        d->plan = plan;
        d->n_slots = 64;
        d->names = calloc(d->n_slots, sizeof *d->names);
        assert(d->names);
        return d;
}

Describer *describer_free(Describer *d)
{
        if (d)
                free(d->names);
        free(d);
        return NULL;
}

/* The place of this id, or a free one. Ids are random. */
static Name *find_slot(const Describer *d, sd_id128_t id)
{
        size_t i = id.qwords[0] & (d->n_slots - 1);

        while (!sd_id128_is_null(d->names[i].id) && !sd_id128_equal(d->names[i].id, id))
                i = (i + 1) & (d->n_slots - 1);
        return d->names + i;
}

static void grow(Describer *d)
{
        Name *old = d->names;
        const size_t n = d->n_slots;

        d->n_slots *= 2;
        d->names = calloc(d->n_slots, sizeof *d->names);
        assert(d->names);
        for (size_t i = 0; i < n; i++)
                if (!sd_id128_is_null(old[i].id))
                        *find_slot(d, old[i].id) = old[i];
        free(old);
}

static void learn(Describer *d, sd_id128_t id, uint64_t number)
{
        Name *name;

        if (sd_id128_is_null(id))
                return;
        name = find_slot(d, id);
        if (!sd_id128_is_null(name->id))
                return;
        *name = (Name){id, number};
        if (++d->n_names * 2 > d->n_slots)
                grow(d);
}

void describer_see(Describer *d, const Observation *o)
{
        uint64_t number;

        if (o->kind == OBS_ACCEPT)
                learn(d, o->id, o->message);
        else if (o->kind == OBS_WRITE && o->frame && o->frame->type == FRAME_MESSAGE &&
                        payload_read(o->frame->message.payload.data, o->frame->message.payload.size,
                                        &number))
                learn(d, o->frame->message.message, number);
}

bool describer_find(const Describer *d, sd_id128_t id, uint64_t *ret_number)
{
        const Name *name = find_slot(d, id);

        *ret_number = name->number;
        return !sd_id128_is_null(id) && !sd_id128_is_null(name->id);
}

const char *describer_who(const Observation *o)
{
        const Process *p = o->process;

        if (o->net)
                p = o->kind == OBS_DELIVER ? o->net->to : o->net->from;
        return p ? process_name(p) : "";
}

/* Words. */

typedef struct Text {
        const Describer *d;
        char *at;
        size_t left;
} Text;

_printf_(2, 3) static void say(Text *t, const char *format, ...)
{
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(t->at, t->left, format, ap);
        va_end(ap);
        n = (size_t) n < t->left ? n : (int) t->left - 1;
        t->at += n;
        t->left -= (size_t) n;
}

/* "message 17", or the end of its id. */
static void say_message(Text *t, const Observation *o)
{
        char buffer[MESSAGE_NAME_MAX];

        say(t, "%s", describer_name(t->d, o->id, buffer));
}

static void say_result(Text *t, uint64_t number)
{
        const int r = (int) (int64_t) number;

        if (r == 0)
                say(t, ": done");
        else
                say(t, ": %s", strerror(r < 0 ? -r : r));
}

static void say_text(Text *t, const char *text)
{
        if (text && text[0])
                say(t, " (%s)", text);
}

static void say_caller(Text *t, const Observation *o)
{
        switch (o->kind) {
        case OBS_SUBMIT:
                say(t, "gets message %" PRIu64 " from a caller", o->message);
                break;
        case OBS_ACCEPT:
                say(t, "accepts message %" PRIu64 " as …%04x", o->message,
                                (unsigned) o->id.bytes[14] << 8 | o->id.bytes[15]);
                if (o->detail == 1)
                        say(t, ", an earlier message with its idempotency key");
                break;
        case OBS_REFUSE:
                say(t, "refuses message %" PRIu64, o->message);
                say_text(t, o->text);
                break;
        case OBS_LOSE_CALLER:
                say(t, "gives the caller of message %" PRIu64 " no answer", o->message);
                break;
        default:
                say(t, "is asked to %s ",
                                o->kind == OBS_CANCEL   ? "cancel"
                                : o->kind == OBS_REVIVE ? "retry"
                                                        : "purge");
                say_message(t, o);
                say_result(t, o->number);
        }
}

static void say_client(Text *t, const Observation *o)
{
        switch (o->kind) {
        case OBS_MESSAGE_EVENT:
                say(t, "reports ");
                say_message(t, o);
                say(t, ": %s", message_event_to_string((MessageEvent) o->number));
                if (o->attempt > 0)
                        say(t, ", attempt %u", o->attempt);
                say_text(t, o->text);
                break;
        case OBS_END:
                say(t, "reports the end of ");
                say_message(t, o);
                say(t, ": %s%s", delivery_state_to_string((DeliveryState) o->state),
                                o->detail == 1 ? ", on disk" : ", not on disk yet");
                say_text(t, o->text);
                break;
        case OBS_LOAD:
                say(t, "has on its disk ");
                say_message(t, o);
                say(t, ", %s", delivery_state_to_string((DeliveryState) o->state));
                break;
        default:
                say(t, "has read all messages from its disk");
        }
}

static void say_handler(Text *t, const Observation *o)
{
        static const char *const ends[] = {
                        [RUN_DONE] = "done",
                        [RUN_FAILED] = "failed",
                        [RUN_REJECTED] = "rejected",
                        [RUN_KILLED] = "killed",
        };

        if (o->kind == OBS_RUN_MISSED) {
                say(t, "ends a handler that has not begun: of ");
                say_message(t, o);
                return;
        }
        say(t, "%s run %" PRIu64,
                        o->kind == OBS_RUN      ? "begins"
                        : o->kind == OBS_EFFECT ? "has the effect of"
                                                : "ends",
                        o->number);
        if (!sd_id128_is_null(o->id)) {
                say(t, " of ");
                say_message(t, o);
        }
        if (o->kind == OBS_RUN_END)
                say(t, ", %s", (unsigned) o->detail < ELEMENTSOF(ends) ? ends[o->detail] : "?");
        if (o->kind != OBS_RUN)
                return;
        say(t, " (attempt %u", o->attempt);
        if (o->sequence > 0)
                say(t, ", sequence %" PRIu64 " of stream …%02x", o->sequence, o->stream.bytes[15]);
        say(t, o->flagged ? ", possible duplicate)" : ")");
}

static const char *peer_name(const Process *p)
{
        return p ? process_name(p) : "a program";
}

static void say_wire(Text *t, const Observation *o)
{
        const char *from = o->net ? peer_name(o->net->from) : "?",
                   *to = o->net ? peer_name(o->net->to) : "?";

        switch (o->kind) {
        case OBS_OPEN:
                say(t, "connects to %s (connection %" PRIu64 ")", to, o->number);
                break;
        case OBS_WRITE:
                say(t, "writes to %s: ", to);
                break;
        case OBS_DELIVER:
                say(t, "reads from %s: ", from);
                break;
        case OBS_CLOSE:
                say(t, "loses connection %" PRIu64 "%s%s", o->number, o->net && o->net->error ? ": " : "",
                                o->net && o->net->error ? strerror(-o->net->error) : "");
                break;
        default:
                say(t, "writes bytes to %s that are no frame", to);
                say_text(t, o->text);
        }
        if (o->frame && t->left > 1)
                describe_frame(t->d, o->frame, t->at, t->left);
}

static void say_simulator(Text *t, const Observation *o)
{
        char deed[500];

        switch (o->kind) {
        case OBS_STEP:
                if (o->step) {
                        step_describe_deed(t->d->plan, o->step, deed, sizeof deed);
                        say(t, "step %u: %s", o->step->index, deed);
                }
                break;
        case OBS_FAULTS_END:
                say(t, "all faults are over");
                break;
        case OBS_START:
                say(t, "is started");
                break;
        case OBS_EXIT:
                say(t, "ends with status %" PRIu64, o->number);
                break;
        case OBS_KILL:
                say(t, "is killed");
                break;
        case OBS_POWER_OFF:
                say(t, "is without power");
                break;
        case OBS_LOG:
                say(t, "logs (%s): %s", log_level_to_string((int) o->number), o->text ?: "");
                break;
        case OBS_DEDUP:
                say(t, "remembers %" PRIu64 " records of %" PRIu64 " streams", o->number, o->sequence);
                break;
        case OBS_MEMORY:
                say(t, "has %" PRIu64 " objects of %" PRIu64 " bytes, and %u descriptors", o->number,
                                o->sequence, o->attempt);
                break;
        default:
                say(t, "the run is over");
        }
}

void describer_what(const Describer *d, const Observation *o, char *ret, size_t size)
{
        Text t = {d, ret, size};

        ret[0] = 0;
        switch (o->kind) {
        case OBS_SUBMIT ... OBS_PURGE:
                say_caller(&t, o);
                break;
        case OBS_MESSAGE_EVENT ... OBS_LOADED:
                say_client(&t, o);
                break;
        case OBS_RUN ... OBS_RUN_MISSED:
                say_handler(&t, o);
                break;
        case OBS_OPEN ... OBS_GARBAGE:
                say_wire(&t, o);
                break;
        default:
                say_simulator(&t, o);
        }
}

const char *describer_name(const Describer *d, sd_id128_t id, char ret[static MESSAGE_NAME_MAX])
{
        uint64_t number;

        if (describer_find(d, id, &number))
                (void) snprintf(ret, MESSAGE_NAME_MAX, "message %" PRIu64, number);
        else
                (void) snprintf(ret, MESSAGE_NAME_MAX, "message …%02x%02x", id.bytes[14], id.bytes[15]);
        return ret;
}
