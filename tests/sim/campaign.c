/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/campaign.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time-util.h"
#include "sim/figures.h"

#define FAILURES_MAX 200u /* of which each is kept */

typedef struct Failure {
        uint64_t seed;
        RunReport report;
} Failure;

typedef struct Campaign {
        const SimOptions *options;
        Figures figures;
        Failure *failures;
        size_t n_failures;
        uint64_t *hashes; /* of --twice, by number; 0: not known */
        size_t n_hashes;
        bool second;    /* the second pass of --twice */
        uint64_t until; /* real time */
        bool on_terminal;
        uint64_t shown;
} Campaign;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
        interrupted = 1;
}

static Recipe recipe_of(const SimOptions *o, uint64_t seed)
{
        Recipe r = recipe_copy(&o->recipe);

        r.seed = seed;
        return r;
}

static void make(uint64_t job, Recipe *ret, void *userdata)
{
        const Campaign *c = userdata;

        *ret = recipe_of(c->options, job);
}

static void clear_line(const Campaign *c)
{
        if (c->on_terminal)
                fputs("\r\033[K", stderr);
}

static void print_failure(const Campaign *c, uint64_t seed, const RunReport *r, const char *output)
{
        Recipe recipe = recipe_of(c->options, seed);

        clear_line(c);
        if (c->options->json) {
                print_json_run(&recipe, r, stdout);
        } else {
                printf("BROKEN  %s: %s\n        ackgroup-sim ", r->rule, r->text);
                print_command(c->options, &recipe, stdout);
                puts("");
                if (output[0])
                        printf("%s%s", output, output[strlen(output) - 1] == '\n' ? "" : "\n");
        }
        (void) fflush(stdout);
        recipe_clear(&recipe);
}

static void write_failure(const Campaign *c, uint64_t seed, const RunReport *r)
{
        FILE *to = c->options->write ? fopen(c->options->write, "ae") : NULL;
        Recipe recipe = recipe_of(c->options, seed);

        if (to) {
                print_command(c->options, &recipe, to);
                fprintf(to, " | %s | %s\n", r->rule, r->text);
                (void) fclose(to);
        }
        recipe_clear(&recipe);
}

/* The first ones of each rule are shown. */
static bool is_news(const Campaign *c, const RunReport *r)
{
        unsigned n = 0;

        for (size_t i = 0; i < c->n_failures; i++)
                n += strcmp(c->failures[i].report.rule, r->rule) == 0;
        return n < 5;
}

static void fail(Campaign *c, uint64_t seed, const RunReport *r, const char *output)
{
        c->figures.n_failed++;
        write_failure(c, seed, r);
        if (is_news(c, r))
                print_failure(c, seed, r, output);
        if (c->n_failures < FAILURES_MAX)
                c->failures[c->n_failures++] = (Failure){seed, *r};
}

/* In another process the run must be the same, too. */
static void compare_hash(Campaign *c, const RunReport *r)
{
        const uint64_t i = r->job - c->options->from, before = i < c->n_hashes ? c->hashes[i] : 0;
        RunReport differs = *r;

        if (!report_is_good(r) || before == 0 || before == r->result.hash)
                return;
        (void) snprintf(differs.rule, sizeof differs.rule, RULE_REPEATS);
        (void) snprintf(differs.text, sizeof differs.text,
                        "In another process the hash is %016" PRIx64 " instead of %016" PRIx64 ".",
                        r->result.hash, before);
        fail(c, r->job, &differs, "");
}

static void keep_hash(Campaign *c, const RunReport *r)
{
        const size_t i = (size_t) (r->job - c->options->from);

        if (i >= c->n_hashes) {
                const size_t n = MAX(2 * c->n_hashes, i + 1);

                c->hashes = reallocarray(c->hashes, n, sizeof *c->hashes);
                assert(c->hashes);
                memset(c->hashes + c->n_hashes, 0, (n - c->n_hashes) * sizeof *c->hashes);
                c->n_hashes = n;
        }
        c->hashes[i] = r->result.hash;
}

static void print_hash(const Campaign *c, const RunReport *r)
{
        clear_line(c);
        printf(c->options->json ? "{\"seed\":%" PRIu64 ",\"hash\":\"%016" PRIx64 "\"}\n"
                                : "%" PRIu64 " %016" PRIx64 "\n",
                        r->job, r->result.hash);
}

static void done(const RunReport *r, const char *output, void *userdata)
{
        Campaign *c = userdata;

        if (c->second) {
                compare_hash(c, r);
                return;
        }
        figures_add(&c->figures, r);
        if (c->options->twice && report_is_good(r))
                keep_hash(c, r);
        if (c->options->hash)
                print_hash(c, r);
        if (report_is_good(r))
                return;
        if (rules_contain(c->options->disabled, r->rule))
                c->figures.n_known++;
        else
                fail(c, r->job, r, output);
}

static bool go_on(void *userdata)
{
        Campaign *c = userdata;
        const uint64_t now = pool_now();

        if (c->on_terminal && now - c->shown > USEC_PER_SEC / 4) {
                fputs("\r", stderr);
                figures_print_short(&c->figures, stderr);
                fputs("\033[K", stderr);
                c->shown = now;
        }
        /* On a busy machine, not even one run may have ended in time. */
        return !interrupted && (now < c->until || c->figures.n_runs == 0) &&
               (c->options->failures == 0 || c->figures.n_failed < c->options->failures);
}

static int run_all(Campaign *c)
{
        const SimOptions *o = c->options;
        RunOptions options;
        PoolTask task = {
                        .first = o->from,
                        .n = o->count ?: UINT64_MAX,
                        .n_children = o->jobs,
                        .cpu_seconds = o->cpu_seconds,
                        .twice = o->twice,
                        .options = &options,
                        .make = make,
                        .done = done,
                        .go_on = go_on,
                        .userdata = c,
        };
        int r;

        run_options(o, &options);
        r = pool_run(&task);
        if (r < 0 || c->n_hashes == 0)
                return r;
        task.n = MIN(task.n, c->n_hashes);
        task.twice = false;
        task.batch = 1;
        c->second = true;
        c->until = UINT64_MAX;
        return pool_run(&task);
}

/* Shrinks the shortest failure of each rule. */
static void shrink_failures(const Campaign *c)
{
        bool seen[FAILURES_MAX] = {};

        for (size_t i = 0; i < c->n_failures && !interrupted; i++) {
                size_t best = i;

                if (seen[i])
                        continue;
                for (size_t k = i; k < c->n_failures; k++)
                        if (strcmp(c->failures[k].report.rule, c->failures[i].report.rule) == 0) {
                                seen[k] = true;
                                if (c->failures[k].report.result.n_observations <
                                                c->failures[best].report.result.n_observations)
                                        best = k;
                        }
                Recipe r = recipe_of(c->options, c->failures[best].seed);
                printf("\nShrinking seed %" PRIu64 ", which breaks %s\n", r.seed,
                                c->failures[best].report.rule);
                (void) fflush(stdout);
                replay_shrink(c->options, &r, &c->failures[best].report);
                recipe_clear(&r);
        }
}

static void print_end(const Campaign *c)
{
        clear_line(c);
        if (c->options->json) {
                figures_print_json(&c->figures, stdout);
                return;
        }
        figures_print(&c->figures, stdout);
        puts("");
}

static bool can_write(const char *path)
{
        FILE *to = path ? fopen(path, "ae") : NULL;

        if (path && !to)
                fprintf(stderr, "ackgroup-sim: %s: %s\n", path, strerror(errno));
        if (to)
                (void) fclose(to);
        return !path || to;
}

int campaign_run(const SimOptions *o)
{
        Campaign c = {
                        .options = o,
                        .figures.began = pool_now(),
                        .until = o->seconds > 0 ? pool_now() + o->seconds * USEC_PER_SEC : UINT64_MAX,
                        .on_terminal = isatty(STDERR_FILENO) && !o->json,
        };
        int r;

        if (!can_write(o->write))
                return 3;
        (void) signal(SIGINT, on_interrupt);
        c.failures = calloc(FAILURES_MAX, sizeof *c.failures);
        assert(c.failures);
        if (o->fresh && !o->json)
                printf("The first seed is %" PRIu64 ".\n", o->from);
        (void) fflush(stdout);
        r = run_all(&c);
        if (r < 0)
                fprintf(stderr, "ackgroup-sim: cannot make a process: %s\n", strerror(-r));
        print_end(&c);
        if (o->shrink && r == 0)
                shrink_failures(&c);
        r = r < 0 ? 3 : c.figures.n_failed > 0 || interrupted ? 1 : 0;
        free(c.failures);
        free(c.hashes);
        return r;
}
