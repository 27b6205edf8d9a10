/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/time-util.h"
#include "sim/plan-text.h"
#include "sim/pool-child.h"
#include "sim/shrink.h"
#include "sim/story.h"

#define OUTPUT_LINES 40u

void run_options(const SimOptions *o, RunOptions *ret)
{
        *ret = (RunOptions){.trace = o->trace,
                        .trace_until = o->until,
                        .disabled = o->disabled,
                        .no_allocation_failures = o->no_memory_faults};
}

void print_command(const SimOptions *o, const Recipe *recipe, FILE *to)
{
        recipe_print(recipe, to);
        fputs(o->no_memory_faults ? " --no-memory-faults" : "", to);
}

void print_json_run(const Recipe *recipe, const RunReport *r, FILE *to)
{
        cJSON *object = cJSON_CreateObject();
        char run[16384] = "", seed[24], hash[24], id[SD_ID128_STRING_MAX], *printed;
        FILE *text = fmemopen(run, sizeof run, "w");

        if (text) {
                recipe_print(recipe, text);
                (void) fclose(text);
        }
        (void) snprintf(seed, sizeof seed, "%" PRIu64, recipe->seed);
        (void) snprintf(hash, sizeof hash, "%016" PRIx64, r->result.hash);
        (void) cJSON_AddRawToObject(object, "seed", seed);
        (void) cJSON_AddStringToObject(object, "run", run);
        (void) cJSON_AddStringToObject(object, "hash", hash);
        (void) cJSON_AddStringToObject(object, "rule", r->rule);
        (void) cJSON_AddStringToObject(object, "text", r->text);
        if (r->at != UINT64_MAX)
                (void) cJSON_AddNumberToObject(object, "seconds", (double) r->at / 1e6);
        if (!sd_id128_is_null(r->result.verdict.id))
                (void) cJSON_AddStringToObject(
                                object, "message", sd_id128_to_string(r->result.verdict.id, id));
        printed = cJSON_PrintUnformatted(object);
        fprintf(to, "%s\n", printed ?: "{}");
        cJSON_free(printed);
        cJSON_Delete(object);
}

/* A run in a child. */

typedef struct Replay {
        const Recipe *recipe;
        bool with_story;
        RunReport report;
        char *output;
} Replay;

static void make(uint64_t job, Recipe *ret, void *userdata)
{
        const Replay *r = userdata;

        *ret = recipe_copy(r->recipe);
}

static void before(const Plan *plan, RunOptions *options, void *userdata)
{
        const Replay *r = userdata;

        if (r->with_story)
                options->story = story_new(plan);
}

static void after(const Plan *plan, const RunOptions *options, const RunReport *report, void *userdata)
{
        const RunResult *x = &report->result;
        const StoryFocus focus = {
                        .rule = report->rule,
                        .promise = rule_promise(report->rule),
                        .text = report->text,
                        .began = x->began,
                        .at = report->at == UINT64_MAX ? 0 : report->at + x->began,
                        .id = x->verdict.id,
                        .process = x->process,
        };

        if (options->story && !report_is_good(report)) {
                puts("");
                story_print(options->story, &focus, stdout);
                puts("");
        }
        (void) story_free(options->story);
}

static void done(const RunReport *report, const char *output, void *userdata)
{
        Replay *r = userdata;

        r->report = *report;
        free(r->output);
        r->output = strdup(output);
}

static int replay_in_child(const SimOptions *o, Replay *r, const RunOptions *options, bool show)
{
        const PoolTask task = {
                        .n = 1,
                        .n_children = 1,
                        .batch = 1,
                        .cpu_seconds = o->cpu_seconds,
                        .twice = o->twice,
                        .show_output = show,
                        .options = options,
                        .make = make,
                        .before = before,
                        .after = after,
                        .done = done,
                        .userdata = r,
        };

        if (!o->no_fork || !show)
                return pool_run(&task);
        pool_run_here(&task, 0, &r->report);
        return 0;
}

int replay(const SimOptions *o, const Recipe *recipe, RunReport *ret, char **ret_output)
{
        Replay r = {.recipe = recipe};
        RunOptions options;
        int result;

        run_options(o, &options);
        options.trace = false;
        result = replay_in_child(o, &r, &options, false);
        *ret = r.report;
        if (ret_output)
                *ret_output = r.output;
        else
                free(r.output);
        return result;
}

/* The last lines. */
static void print_tail(const char *text, FILE *to)
{
        const char *at = text + strlen(text);
        unsigned n = 0;

        while (at > text && (n += at[-1] == '\n') <= OUTPUT_LINES)
                at--;
        fprintf(to, "%s%s", at, at[0] && text[strlen(text) - 1] != '\n' ? "\n" : "");
}

/* A run that crashes cannot tell its story: the end of its trace, and what the sanitizer says. */
static void print_crash(const SimOptions *o, const Recipe *recipe)
{
        Replay r = {.recipe = recipe};
        RunOptions options;
        Plan *p = recipe_plan(recipe);

        run_options(o, &options);
        options.trace = true;
        (void) replay_in_child(o, &r, &options, false);
        plan_print_group(p, stdout);
        plan_print_steps(p, stdout);
        puts("The end of the trace, and what the program wrote:");
        print_tail(r.output ?: "", stdout);
        free(r.output);
        (void) plan_free(p);
}

static bool has_no_story(const RunReport *r)
{
        return strcmp(r->rule, RULE_CRASH) == 0 || strcmp(r->rule, RULE_HANG) == 0;
}

static void print_verdict(const SimOptions *o, const RunReport *r)
{
        const RunResult *x = &r->result;

        if (o->json) {
                print_json_run(&o->recipe, r, stdout);
                return;
        }
        if (!report_is_good(r)) {
                printf("BROKEN  %s: %s\n", r->rule, rule_promise(r->rule) ?: "");
                if (r->at != UINT64_MAX)
                        printf("        after %.6f s: %s\n", (double) r->at / 1e6, r->text);
                else
                        printf("        %s\n", r->text);
        } else if (o->until > 0 && x->n_observations >= o->until)
                printf("stopped at observation %" PRIu64 "; no promise was broken before\n", o->until);
        else
                puts("ok      all promises are kept");
        printf("        hash %016" PRIx64 ", %" PRIu64 " observations, %.1f virtual seconds, %" PRIu64
               " messages accepted, %" PRIu64 " ended, %" PRIu64 " runs of handlers with %" PRIu64
               " effects, %.3f s of CPU\n",
                        x->hash, x->n_observations, (double) x->virtual_usec / 1e6, x->n_accepted,
                        x->n_ended, x->n_runs, x->n_effects, x->cpu_seconds);
}

/* --twice: once more, in another process. */
static void repeat(const SimOptions *o, RunReport *r)
{
        RunReport again = {};

        if (!report_is_good(r) || replay(o, &o->recipe, &again, NULL) < 0 ||
                        again.result.hash == r->result.hash)
                return;
        (void) snprintf(r->rule, sizeof r->rule, RULE_REPEATS);
        (void) snprintf(r->text, sizeof r->text,
                        "In another process the hash is %016" PRIx64 " instead of %016" PRIx64 ".",
                        again.result.hash, r->result.hash);
}

int replay_show(const SimOptions *o)
{
        Replay r = {.recipe = &o->recipe, .with_story = o->story};
        RunOptions options;

        if (o->plan) {
                Plan *p = recipe_plan(&o->recipe);

                plan_print_group(p, stdout);
                plan_print_steps(p, stdout);
                (void) plan_free(p);
                return 0;
        }
        run_options(o, &options);
        if (replay_in_child(o, &r, &options, true) < 0)
                return 3;
        if (o->twice)
                repeat(o, &r.report);
        if (o->story && has_no_story(&r.report))
                print_crash(o, &o->recipe);
        print_verdict(o, &r.report);
        if (o->shrink && !report_is_good(&r.report))
                replay_shrink(o, &o->recipe, &r.report);
        free(r.output);
        return report_is_good(&r.report) ? 0 : 1;
}

/* Shrinking. */

typedef struct Shrinking {
        SimOptions options;
        const RunReport *goal;
        uint64_t until; /* real time */
        bool on_terminal;
} Shrinking;

/* A crash at another place is another fault. */
static bool is_same(const RunReport *a, const RunReport *b)
{
        return strcmp(a->rule, b->rule) == 0 &&
               (strcmp(a->rule, RULE_CRASH) != 0 || strcmp(a->text, b->text) == 0);
}

static ShrinkTrial try_plan(const Recipe *recipe, const Plan *plan, void *userdata)
{
        const Shrinking *s = userdata;
        RunReport r = {};

        if (replay(&s->options, recipe, &r, NULL) < 0)
                return (ShrinkTrial){};
        return (ShrinkTrial){is_same(&r, s->goal), r.at};
}

static bool is_late(void *userdata)
{
        const Shrinking *s = userdata;

        return pool_now() >= s->until;
}

static void show_progress(const Plan *plan, unsigned n_trials, void *userdata)
{
        const Shrinking *s = userdata;

        if (s->on_terminal)
                fprintf(stderr, "\rshrinking: %zu steps left after %u runs \033[K", plan->n_steps, n_trials);
}

static void tell(const SimOptions *o, const Recipe *recipe, const RunReport *goal)
{
        Replay r = {.recipe = recipe, .with_story = true};
        RunOptions options;

        run_options(o, &options);
        options.trace = false;
        if (has_no_story(goal))
                print_crash(o, recipe);
        else
                (void) replay_in_child(o, &r, &options, true);
        free(r.output);
}

void replay_shrink(const SimOptions *o, const Recipe *recipe, const RunReport *goal)
{
        Shrinking s = {
                        .options = *o,
                        .goal = goal,
                        .until = pool_now() + o->shrink_seconds * USEC_PER_SEC,
                        .on_terminal = isatty(STDERR_FILENO),
        };
        const ShrinkMethod method = {
                        .run = try_plan, .is_over = is_late, .progress = show_progress, .userdata = &s};
        Recipe small = recipe_copy(recipe);
        Plan *p;
        unsigned n;

        s.options.trace = s.options.no_fork = false;
        s.options.until = 0;
        s.options.twice = strcmp(goal->rule, RULE_REPEATS) == 0;
        n = shrink(&small, &method);
        if (s.on_terminal)
                fputs("\r\033[K", stderr);
        if (n == 0) {
                printf("It does not break \"%s\" again in a fresh process: something is not repeated "
                       "exactly.\n",
                                goal->rule);
                recipe_clear(&small);
                return;
        }
        tell(&s.options, &small, goal);
        p = recipe_plan(&small);
        printf("%zu steps, found with %u runs:\n  ackgroup-sim ", p->n_steps, n);
        print_command(o, &small, stdout);
        puts(" --story");
        (void) plan_free(p);
        recipe_clear(&small);
}
