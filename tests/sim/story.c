/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "sim/describe-frame.h"
#include "sim/plan-text.h"

#define TAIL       40u /* of the process in question, if no message is */
#define STEPS_MAX  25u /* a plan with more of them shows only the load in question */
#define LINES_MAX  80u /* a longer story leaves out what repeats itself */
#define LAST_LINES 20u /* but not at its end */
#define ALIKE_MAX  4u
#define SIGNATURES 4096u

typedef struct Scene {
        ObservationKind kind;
        FrameType frame; /* 0: none */
        uint64_t index, at, message, number;
        sd_id128_t id, stream;
        const Step *step;
        int detail;        /* what tells it from others of its kind */
        int who, from, to; /* numbers of processes, or -1 */
        char *name, *what;
} Scene;

struct Story {
        const Plan *plan;
        Describer *describer;
        Scene *scenes;
        size_t n_scenes, allocated;
};

/* Who and what the story is about. */
typedef struct Cast {
        const StoryFocus *focus;
        bool has_number, few_steps;
        uint64_t number;
        sd_id128_t streams[16];
        size_t n_streams;
        bool processes[PROCESSES_MAX];
} Cast;

Story *story_new(const Plan *plan)
{
        Story *s = calloc(1, sizeof *s);

        assert(s);
        s->plan = plan;
        s->describer = describer_new(plan);
        return s;
}

Story *story_free(Story *s)
{
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_scenes; i++) {
                free(s->scenes[i].name);
                free(s->scenes[i].what);
        }
        free(s->scenes);
        (void) describer_free(s->describer);
        free(s);
        return NULL;
}

static int number_of(const Process *p)
{
        return p && process_index(p) < PROCESSES_MAX ? (int) process_index(p) : -1;
}

void story_see(Story *s, const Observation *o)
{
        char what[1200];
        Scene c = {.kind = o->kind,
                        .index = o->index,
                        .at = o->at,
                        .message = o->message,
                        .number = o->number,
                        .id = o->id,
                        .stream = o->stream,
                        .step = o->step,
                        .who = number_of(o->process),
                        .from = -1,
                        .to = -1};

        describer_see(s->describer, o);
        describer_what(s->describer, o, what, sizeof what);
        c.name = strdup(describer_who(o));
        c.what = strdup(what);
        if (o->net) {
                c.from = number_of(o->net->from);
                c.to = number_of(o->net->to);
                c.who = o->kind == OBS_DELIVER ? c.to : c.from;
        }
        /* A damaged payload does not say of which message it is. */
        if (o->kind == OBS_RUN)
                c.detail = o->detail;
        if (o->kind == OBS_MESSAGE_EVENT)
                c.detail = (int) o->number;
        if (o->frame) {
                c.frame = o->frame->type;
                frame_subject(o->frame, &c.id, &c.stream);
                if (c.frame == FRAME_ANSWER)
                        c.detail = (int) o->frame->answer.outcome;
        }
        if (s->n_scenes == s->allocated) {
                s->allocated = MAX(2 * s->allocated, 256u);
                s->scenes = reallocarray(s->scenes, s->allocated, sizeof *s->scenes);
        }
        assert(c.name && c.what && s->scenes);
        s->scenes[s->n_scenes++] = c;
}

/* Which scenes matter. */

static bool has_message(const Cast *cast)
{
        return !sd_id128_is_null(cast->focus->id);
}

static bool is_about(const Cast *cast, const Scene *c)
{
        if (!has_message(cast))
                return false;
        if (sd_id128_equal(c->id, cast->focus->id))
                return true;
        return cast->has_number && c->message == cast->number &&
               ((c->kind >= OBS_SUBMIT && c->kind <= OBS_LOSE_CALLER) ||
                               (c->kind >= OBS_RUN && c->kind <= OBS_RUN_END && !c->detail));
}

static bool has_stream(const Cast *cast, sd_id128_t stream)
{
        for (size_t i = 0; i < cast->n_streams; i++)
                if (sd_id128_equal(cast->streams[i], stream))
                        return true;
        return false;
}

static void add_process(Cast *cast, int process)
{
        if (process >= 0 && process < (int) PROCESSES_MAX)
                cast->processes[process] = true;
}

static void find_cast(const Story *s, Cast *cast)
{
        cast->few_steps = s->plan->n_steps <= STEPS_MAX;
        cast->has_number = describer_find(s->describer, cast->focus->id, &cast->number);
        add_process(cast, cast->focus->process);
        for (size_t i = 0; i < s->n_scenes; i++) {
                const Scene *c = s->scenes + i;

                if (!is_about(cast, c))
                        continue;
                add_process(cast, c->who);
                add_process(cast, c->from);
                add_process(cast, c->to);
                if (!sd_id128_is_null(c->stream) && !has_stream(cast, c->stream) &&
                                cast->n_streams < ELEMENTSOF(cast->streams))
                        cast->streams[cast->n_streams++] = c->stream;
        }
        if (!has_message(cast) && cast->focus->process < 0)
                memset(cast->processes, true, sizeof cast->processes);
}

static bool plays(const Cast *cast, int process)
{
        return process >= 0 && cast->processes[process];
}

static bool step_matters(const Cast *cast, const Step *s)
{
        const uint64_t first = s->message.number;

        if (cast->few_steps)
                return true;
        switch (s->kind) {
        case STEP_SEND:
                return cast->has_number && cast->number == first;
        case STEP_BULK:
                return cast->has_number && cast->number >= first && cast->number < first + s->b;
        case STEP_CANCEL:
                return cast->has_number && cast->number == s->b;
        default:
                return true;
        }
}

static bool matters(const Cast *cast, const Scene *c)
{
        switch (c->kind) {
        case OBS_STEP:
                return c->step && step_matters(cast, c->step);
        case OBS_FAULTS_END:
                return true;
        case OBS_START:
        case OBS_EXIT:
        case OBS_KILL:
        case OBS_POWER_OFF:
                return plays(cast, c->who);
        case OBS_LOG:
                return c->number <= LOG_WARNING && plays(cast, c->who);
        case OBS_OPEN:
        case OBS_CLOSE:
                return plays(cast, c->from) && plays(cast, c->to);
        case OBS_WRITE:
        case OBS_DELIVER:
                return is_about(cast, c) || (sd_id128_is_null(c->id) && has_stream(cast, c->stream));
        case OBS_GARBAGE:
                return plays(cast, c->from);
        default:
                return is_about(cast, c);
        }
}

/* Without a message, what the process did last. */
static size_t find_tail(const Story *s, const Cast *cast)
{
        size_t n = 0, i = s->n_scenes;

        if (has_message(cast))
                return i - MIN(i, 2u);
        while (i > 0 && n < TAIL)
                n += plays(cast, s->scenes[--i].who);
        return i;
}

/* Text. */

static void print_scene(const StoryFocus *focus, const Scene *c, bool was_read, FILE *to)
{
        const uint64_t ms = (c->at - focus->began) / 1000;

        fprintf(to, "%5" PRIu64 ".%03" PRIu64 " s  ", ms / 1000, ms % 1000);
        if (c->kind == OBS_STEP)
                fprintf(to, "*** %s\n", strchr(c->what, ':') ? strchr(c->what, ':') + 2 : c->what);
        else
                fprintf(to, "%s%s%s%s\n", c->name, c->name[0] ? " " : "", c->what,
                                was_read ? " [read]" : "");
}

/* What repeats itself is shown a few times only, if the story is long. What callers and handlers see is
 * always shown. */
static bool may_be_left_out(const Scene *c)
{
        switch (c->kind) {
        case OBS_MESSAGE_EVENT:
        case OBS_OPEN:
        case OBS_CLOSE:
        case OBS_WRITE:
        case OBS_DELIVER:
        case OBS_LOG:
                return true;
        default:
                return false;
        }
}

static unsigned signature(const Scene *c)
{
        unsigned hash = (unsigned) c->kind;

        hash = hash * 31 + (unsigned) c->frame;
        hash = hash * 67 + (unsigned) (c->from + 1);
        hash = hash * 67 + (unsigned) (c->to + 1);
        hash = hash * 67 + (unsigned) (c->who + 1);
        hash = hash * 31 + (unsigned) c->detail;
        return hash % SIGNATURES;
}

/* The indexes of the scenes that matter. */
static size_t *choose(const Story *s, const Cast *cast, size_t *ret_n)
{
        size_t *list = calloc(MAX(s->n_scenes, 1u), sizeof *list), n = 0;
        const size_t tail = find_tail(s, cast);

        assert(list);
        for (size_t i = 0; i < s->n_scenes; i++)
                if (matters(cast, s->scenes + i) || (i >= tail && plays(cast, s->scenes[i].who)))
                        list[n++] = i;
        *ret_n = n;
        return list;
}

static bool is_read_at_once(const Scene *write, const Scene *next)
{
        return write->kind == OBS_WRITE && next->kind == OBS_DELIVER && write->from == next->from &&
               write->to == next->to && write->frame == next->frame && sd_id128_equal(write->id, next->id) &&
               next->at - write->at < 1000000;
}

static void print_scenes(const Story *s, const Cast *cast, FILE *to)
{
        unsigned seen[SIGNATURES] = {};
        size_t n, n_left_out = 0;
        size_t *list = choose(s, cast, &n);

        for (size_t i = 0; i < n; i++) {
                const Scene *c = s->scenes + list[i];
                const bool was_read = i + 1 < n && is_read_at_once(c, s->scenes + list[i + 1]);

                if (n > LINES_MAX && i + LAST_LINES < n && may_be_left_out(c) &&
                                seen[signature(c)]++ >= ALIKE_MAX) {
                        n_left_out += 1 + was_read;
                        i += was_read;
                        continue;
                }
                if (n_left_out > 0)
                        fprintf(to, "            … (%zu more like these)\n", n_left_out);
                n_left_out = 0;
                print_scene(cast->focus, c, was_read, to);
                i += was_read;
        }
        free(list);
}

static void print_group(const Plan *p, FILE *to)
{
        fprintf(to, "The group: discovery on machine m%u", p->machine_of_discovery);
        for (unsigned i = 0; i < p->n_clients; i++)
                fprintf(to, ", client c%u on m%u", i, p->machine_of_client[i]);
        for (unsigned i = 0; i < p->n_receivers; i++)
                fprintf(to, ", receiver r%u on m%u", i, p->machine_of_receiver[i]);
        fprintf(to, ".\n");
}

void story_print(const Story *s, const StoryFocus *focus, FILE *to)
{
        Cast cast = {.focus = focus};
        char name[MESSAGE_NAME_MAX];

        find_cast(s, &cast);
        fprintf(to, "The promise (%s): %s\n", focus->rule, focus->promise ?: "the program does not fail");
        fprintf(to, "What broke it: %s\n", focus->text);
        print_group(s->plan, to);
        if (has_message(&cast))
                fprintf(to, "The story of %s:\n", describer_name(s->describer, focus->id, name));
        else
                fprintf(to, "The story:\n");
        print_scenes(s, &cast, to);
        if (focus->at > 0 && s->n_scenes > 0) {
                const uint64_t ms = (focus->at - focus->began) / 1000;

                fprintf(to, "%5" PRIu64 ".%03" PRIu64 " s  --> the promise is broken\n", ms / 1000,
                                ms % 1000);
        }
}
