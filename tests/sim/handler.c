/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/handler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "model/limits.h"
#include "sim/handler-acts.h"

typedef struct Run Run;
struct Run {
        Process *receiver;
        unsigned life; /* of the receiver, which may be started again while this one still runs */
        uint64_t number, message;
        Acts acts;
        unsigned next; /* act */
        uint64_t spent;
        RunEnd end;
        size_t reply_size;
        Run *next_free, *next_all;
};

static struct {
        const Plan *plan;
        HandlerFind find;
        void *userdata;
        uint32_t *n_runs_of; /* by number of the message */
        uint64_t n_runs, n_effects;
        HandlerMood moods[PROCESSES_MAX];
        bool cannot_execute[PROCESSES_MAX];
        Run *free, *all;
} handlers;

static Run *run_new(void)
{
        Run *r = handlers.free;

        if (r) {
                handlers.free = r->next_free;
                return r;
        }
        r = malloc(sizeof *r);
        assert(r);
        r->next_all = handlers.all;
        handlers.all = r;
        return r;
}

static void run_free(Run *r)
{
        r->next_free = handlers.free;
        handlers.free = r;
}

/* Its beginning. */

/* The facts of the message. */
static void read_environment(const TestChild *c, Observation *o)
{
        for (char **e = c->environment; *e; e++) {
                const char *name = str_after_prefix(*e, "ACKGROUP_"), *value;
                int r = 0;

                if (!name)
                        continue;
                if ((value = str_after_prefix(name, "MESSAGE=")))
                        r = sd_id128_from_string(value, &o->id);
                else if ((value = str_after_prefix(name, "STREAM=")))
                        r = sd_id128_from_string(value, &o->stream);
                else if ((value = str_after_prefix(name, "RECEIVER=")))
                        r = sd_id128_from_string(value, &o->receiver);
                else if ((value = str_after_prefix(name, "SEQUENCE=")))
                        o->sequence = strtoull(value, NULL, 10);
                else if ((value = str_after_prefix(name, "ATTEMPT=")))
                        o->attempt = (uint32_t) strtoull(value, NULL, 10);
                else if ((value = str_after_prefix(name, "POSSIBLE_DUPLICATE=")))
                        o->flagged = str_equal(value, "1");
                assert(r >= 0);
        }
}

static unsigned count_run(uint64_t message)
{
        return message < handlers.plan->n_messages ? handlers.n_runs_of[message]++ : 0;
}

static void decide(Run *r, const PlannedMessage *m)
{
        static const PlannedMessage unknown;
        const unsigned process = process_index(r->receiver);
        const ActsInput input = {
                        .message = m ?: &unknown,
                        .n_earlier = m ? count_run(r->message) : 0,
                        .mood = handlers.moods[process],
                        .cannot_execute = handlers.cannot_execute[process],
                        .random = world_random(UINT64_MAX),
        };

        acts_decide(&input, &r->acts);
}

static void act(TestChild *c);

/* Waits for its next act. Returns false if there is none, or if it is due now. */
static bool wait_for_act(TestChild *c, Run *r)
{
        if (r->next == r->acts.n)
                return true;
        const uint64_t at = r->acts.acts[r->next].at;
        if (at == r->spent && r->next > 0)
                return false;
        child_call_in(c, at - r->spent, act);
        r->spent = at;
        return true;
}

static void on_begin(TestChild *c, Process *receiver, void *userdata)
{
        const PlannedMessage *m = NULL;
        Observation o = {.kind = OBS_RUN, .process = receiver};
        Run *r = run_new();

        *r = (Run){.receiver = receiver,
                        .life = child_life(c),
                        .number = ++handlers.n_runs,
                        .next_all = r->next_all};
        assert(process_index(receiver) < PROCESSES_MAX);
        if (payload_read(c->input, c->input_size, &r->message))
                m = handlers.find(r->message, handlers.userdata);
        if (!m)
                r->message = 0;
        decide(r, m);
        child_set_userdata(c, r);
        read_environment(c, &o);
        o.number = r->number;
        o.state = (int) r->life;
        o.message = r->message;
        o.detail = m ? 0 : 1;
        observe(o);
        (void) wait_for_act(c, r);
}

/* Its acts. */

static void write_line(TestChild *c, const char *format, ...) _printf_(2, 3);

static void write_line(TestChild *c, const char *format, ...)
{
        char line[64];
        va_list ap;

        va_start(ap, format);
        int n = vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        (void) child_report(c, line, (size_t) n);
}

/* One line of a talkative handler. Most are right; others are unknown, too long, or have a NUL in them. */
static size_t talk_line(Run *r, char ret[static 1500])
{
        const uint64_t kind = acts_random(&r->acts, 64), percent = acts_random(&r->acts, 101);

        if (kind == 0) {
                memset(ret, 'x', 1400);
                ret[1400] = '\n';
                return 1401;
        }
        int n = snprintf(ret, 1500, "%s %u busy\n", kind == 1 ? "hello" : "progress", (unsigned) percent);
        if (kind == 2)
                ret[3] = '\0';
        return (size_t) n;
}

/* All in one write, whose last line has no end. */
static void talk(TestChild *c, Run *r, unsigned n_lines)
{
        static char text[32768];
        size_t size = 0;

        for (unsigned i = 0; i < n_lines && size < sizeof text - 1500; i++)
                size += talk_line(r, text + size);
        (void) child_report(c, text, size - 1);
}

static void kill_receiver(const Run *r)
{
        if (process_starts(r->receiver) == r->life)
                process_kill(r->receiver);
}

/* The end of the leader. The child may be gone after it. */
static void end_run(TestChild *c, Run *r)
{
        static char reply[REPLY_MAX + 200];
        const unsigned status = r->acts.status;
        unsigned size = r->acts.reply_size;

        r->end = status == 0 ? RUN_DONE : status_is_reject(status) ? RUN_REJECTED : RUN_FAILED;
        if (size > 0) {
                const int n = snprintf(reply, sizeof reply, "message %llu run %llu.",
                                (unsigned long long) r->message, (unsigned long long) r->number);

                size = MAX(size, (unsigned) n);
                memset(reply + n, '.', size - (unsigned) n);
                reply[size] = '\0';
        }
        r->reply_size = size;
        world_child_end(c, (int) status, size > 0 ? reply : NULL);
}

static void do_act(TestChild *c, Run *r, const Act *a)
{
        switch (a->kind) {
        case ACT_EFFECT:
                handlers.n_effects++;
                observe((Observation){.kind = OBS_EFFECT,
                                .process = r->receiver,
                                .number = r->number,
                                .message = r->message});
                break;
        case ACT_PROGRESS:
                write_line(c, "progress %u\n", a->value);
                break;
        case ACT_ERROR:
                write_line(c, "error out of paper\n");
                break;
        case ACT_RETRY:
                write_line(c, "retry %ums\n", a->value);
                break;
        case ACT_TALK:
                talk(c, r, a->value);
                break;
        case ACT_FORK:
                child_fork(c);
                break;
        case ACT_KILL:
                kill_receiver(r);
                break;
        case ACT_END:
                end_run(c, r);
                break;
        }
}

static void act(TestChild *c)
{
        Run *r = child_userdata(c);
        bool is_over = false;

        do {
                const Act *a = r->acts.acts + r->next++;

                is_over = a->kind == ACT_END && r->next == r->acts.n;
                do_act(c, r, a);
        } while (!is_over && !wait_for_act(c, r));
}

/* It was killed before it could do anything. */
static void miss_run(const TestChild *c, Process *receiver)
{
        Observation o = {.kind = OBS_RUN_MISSED, .process = receiver, .state = (int) child_life(c)};

        (void) payload_read(c->input, c->input_size, &o.message);
        read_environment(c, &o);
        observe(o);
}

/* Called once for each run. Perhaps in the middle of the receiver's code. */
static void on_death(TestChild *c, Process *receiver, bool killed, void *userdata)
{
        Run *r = child_userdata(c);

        if (!child_has_begun(c)) {
                miss_run(c, receiver);
                return;
        }
        observe((Observation){.kind = OBS_RUN_END,
                        .process = receiver,
                        .number = r->number,
                        .message = r->message,
                        .sequence = r->reply_size,
                        .detail = (int) (killed ? RUN_KILLED : r->end)});
        run_free(r);
}

/* The run of the simulator. */

void handlers_begin(const Plan *plan, HandlerFind find, void *userdata)
{
        memset(&handlers, 0, sizeof handlers);
        handlers.plan = plan;
        handlers.find = find;
        handlers.userdata = userdata;
        handlers.n_runs_of = calloc(MAX(plan->n_messages, 1u), sizeof *handlers.n_runs_of);
        assert(handlers.n_runs_of);
        child_set_script(on_begin, on_death, NULL);
        child_set_start_delay(50, 5 * USEC_PER_MSEC);
        /* A warden waits for handlers that hang in the kernel. */
        child_set_warden_delay(100, world_random(4) == 0 ? 2 * USEC_PER_SEC : 50 * USEC_PER_MSEC);
}

void handlers_end(void)
{
        for (Run *r; (r = handlers.all);) {
                handlers.all = r->next_all;
                free(r);
        }
        handlers.free = NULL;
        free(handlers.n_runs_of);
        handlers.n_runs_of = NULL;
        child_set_script(NULL, NULL, NULL);
}

void handlers_set_mood(unsigned receiver, HandlerMood mood)
{
        handlers_set_mood_of(process_get(plan_process_of_receiver(handlers.plan, receiver)), mood);
}

void handlers_set_mood_of(Process *p, HandlerMood mood)
{
        static const int errors[] = {-EAGAIN, -ENOMEM, -EMFILE};
        const unsigned i = process_index(p);
        const uint64_t how = world_random(ELEMENTSOF(errors) + 1);

        assert(i < PROCESSES_MAX);
        handlers.moods[i] = mood;
        handlers.cannot_execute[i] = mood == MOOD_CANNOT && how == ELEMENTSOF(errors);
        child_set_spawn_error(p, mood == MOOD_CANNOT && how < ELEMENTSOF(errors) ? errors[how] : 0);
}

uint64_t handlers_n_runs(void)
{
        return handlers.n_runs;
}

uint64_t handlers_n_effects(void)
{
        return handlers.n_effects;
}
