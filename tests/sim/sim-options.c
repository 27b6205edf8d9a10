/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/sim-options.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/parse-util.h"

#define EXIT_USAGE 2
#define NUMBER_MAX 1000000ull
#define JOBS_MAX   200u

typedef enum Kind { FLAG, NUMBER, LONG_NUMBER, TEXT, RECIPE, SEEDS, RULES } Kind;

typedef struct Option {
        const char *name, *value, *text;
        Kind kind;
        size_t offset;
} Option;

#define AT(field) offsetof(SimOptions, field)

/* In the order of --help; a row without a name is a heading. */
static const Option table[] = {
                {.text = "Which runs"},
                {"seed", "N", "one run: that of this seed", RECIPE},
                {"seeds", "A..B", "the runs of these seeds", SEEDS},
                {"from", "N", "the first seed, with --count or --seconds", LONG_NUMBER, AT(from)},
                {"count", "N", "N runs, of fresh seeds unless --from is given", LONG_NUMBER, AT(count)},
                {"seconds", "N", "runs for N seconds, of fresh seeds unless --from is given", LONG_NUMBER,
                                AT(seconds)},
                {"profile", "NAME", "the kind of run; otherwise the seed chooses", RECIPE},
                {"check-fixed", "FILE", "the runs in this list; each must keep all promises", TEXT,
                                AT(check_fixed)},
                {"check-known", "FILE", "the runs in this list; each must break the rule that stands there",
                                TEXT, AT(check_known)},

                {.text = "Smaller runs"},
                {"clients", "N", "at most N clients", RECIPE},
                {"receivers", "N", "at most N receivers", RECIPE},
                {"machines", "N", "at most N machines", RECIPE},
                {"messages", "N", "only the first N messages", RECIPE},
                {"faults", "N", "only the first N faults", RECIPE},
                {"skip", "LIST", "leave out these steps of the plan: 3,5-9", RECIPE},
                {"halve", "LIST", "halve the numbers of these steps; 5x3: three times", RECIPE},
                {"draws", "N", "another seed for what is drawn during the run, such as delays", RECIPE},

                {.text = "What to show"},
                {"trace", NULL, "every observation, one in a line", FLAG, AT(trace)},
                {"until", "N", "stop after observation N", LONG_NUMBER, AT(until)},
                {"story", NULL, "what led to the broken promise, in sentences", FLAG, AT(story)},
                {"plan", NULL, "the plan, with the numbers of its steps, instead of a run", FLAG, AT(plan)},
                {"hash", NULL, "the hash of each run", FLAG, AT(hash)},
                {"json", NULL, "results as JSON, one object in a line", FLAG, AT(json)},
                {"rules", NULL, "the promises that are checked, instead of a run", FLAG, AT(rules)},
                {"profiles", NULL, "the kinds of run, instead of a run", FLAG, AT(profiles)},

                {.text = "When a promise breaks"},
                {"shrink", NULL, "make the plan small, and tell the story", FLAG, AT(shrink)},
                {"shrink-seconds", "N", "stop shrinking after N seconds (120)", NUMBER, AT(shrink_seconds)},
                {"failures", "N", "stop after N failed runs", NUMBER, AT(failures)},
                {"write", "FILE", "append failed runs to this list", TEXT, AT(write)},
                {"disable", "RULE,…", "do not check these promises; all: check only crash, hang and repeats",
                                RULES},
                {"except", "FILE", "do not check the rules of the known faults in this list", TEXT,
                                AT(except)},
                {"no-memory-faults", NULL, "no allocation fails", FLAG, AT(no_memory_faults)},
                {"twice", NULL,
                                "repeat each run, in the same process and in another one: the hash must be "
                                "the same",
                                FLAG, AT(twice)},

                {.text = "How"},
                {"jobs", "N", "N runs at the same time, 200 at most (one for each core)", NUMBER, AT(jobs)},
                {"cpu-seconds", "N", "a run that uses more CPU time counts as hanging (60)", NUMBER,
                                AT(cpu_seconds)},
                {"no-fork", NULL, "run in this process, for debuggers", FLAG, AT(no_fork)},
                {"help", NULL, "this text", FLAG, AT(help)},
};

void sim_help(void)
{
        puts("Usage: ackgroup-sim [OPTION…]\n\n"
             "Runs the whole group (discovery, receivers, clients, callers, handlers) in one process, over "
             "simulated\n"
             "machines, networks, disks and clocks, with faults, and checks every promise of "
             "docs/PROTOCOL.md.\n"
             "A seed decides everything; the same seed gives the same run.");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Option *o = table + i;
                char left[40];

                if (!o->name) {
                        printf("\n%s:\n", o->text);
                        continue;
                }
                (void) snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ?: "");
                printf("  %-22s%s %s\n", left, strstr(left, "…") ? "  " : "", o->text);
        }
        puts("\nExamples:\n"
             "  ackgroup-sim --seeds 1..1000                 a thousand runs\n"
             "  ackgroup-sim --seconds 600 --shrink          ten minutes of fresh ones; small plans of what "
             "fails\n"
             "  ackgroup-sim --seed 7 --plan                 what this seed does\n"
             "  ackgroup-sim --seed 7 --trace --until 5000   what happens then\n"
             "  ackgroup-sim --seed 7 --shrink               the smallest plan that breaks the same "
             "promise\n\n"
             "Exit status: 0 all promises are kept, 1 a promise is broken, 2 wrong usage, 3 another error.");
}

void sim_options_disable(SimOptions *o, const char *rules)
{
        char *both = NULL;

        if (asprintf(&both, "%s%s%s", o->disabled ?: "", o->disabled ? "," : "", rules) < 0)
                abort();
        free(o->disabled);
        o->disabled = both;
}

void sim_options_clear(SimOptions *o)
{
        recipe_clear(&o->recipe);
        free(o->disabled);
}

static const Option *find(const char *name, size_t n)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].name && strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0)
                        return table + i;
        return NULL;
}

static int parse_seeds(SimOptions *o, const char *value, Error *error)
{
        char first[24];
        const char *dots = strstr(value, "..");
        const size_t n = dots ? (size_t) (dots - value) : 0;
        uint64_t last;

        if (n == 0 || n >= sizeof first)
                return error_set(error, -EINVAL, "--seeds: \"%s\" is not like 1..1000", value);
        memcpy(first, value, n);
        first[n] = 0;
        if (parse_u64(first, 0, UINT64_MAX, &o->from) < 0 ||
                        parse_u64(dots + 2, o->from, UINT64_MAX - 1, &last) < 0)
                return error_set(error, -EINVAL, "--seeds: \"%s\" is not like 1..1000", value);
        o->count = last - o->from + 1;
        return 0;
}

static int take(SimOptions *o, const Option *option, const char *value, Error *error)
{
        void *field = (char *) o + option->offset;
        int r = 0;

        switch (option->kind) {
        case FLAG:
                *(bool *) field = true;
                return 0;
        case NUMBER:
                r = parse_unsigned(value, 0, NUMBER_MAX, field);
                break;
        case LONG_NUMBER:
                r = parse_u64(value, 0, UINT64_MAX, field);
                break;
        case TEXT:
                *(const char **) field = value;
                return 0;
        case RECIPE:
                return recipe_parse_option(&o->recipe, option->name, value, error);
        case SEEDS:
                return parse_seeds(o, value, error);
        case RULES:
                sim_options_disable(o, value);
                return 0;
        }
        return r < 0 ? error_set(error, r, "--%s: \"%s\" is no number from 0 to %llu", option->name, value,
                                       option->kind == NUMBER ? NUMBER_MAX : ULLONG_MAX)
                     : 0;
}

_printf_(1, 2) static int usage(const char *format, ...)
{
        va_list ap;

        fputs("ackgroup-sim: ", stderr);
        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        fputs("\n\"ackgroup-sim --help\" shows the options.\n", stderr);
        return EXIT_USAGE;
}

static int parse_one(SimOptions *o, char **argv, int *i, bool *seen)
{
        const char *word = argv[*i], *value = strchr(word, '=');
        Error error = {};
        const Option *option;

        if (strncmp(word, "--", 2) != 0)
                return usage("\"%s\" is no option", word);
        option = find(word + 2, value ? (size_t) (value - word - 2) : strlen(word) - 2);
        if (!option)
                return usage("there is no option \"%s\"", word);
        seen[option - table] = true;
        value = value ? value + 1 : NULL;
        if (!option->value && value)
                return usage("%s: it takes no value", word);
        if (option->value && !value) {
                value = argv[*i + 1];
                if (!value)
                        return usage("%s: its value is missing", word);
                (*i)++;
        }
        return take(o, option, value, &error) < 0 ? usage("%s", error.text) : 0;
}

static bool is_given(const bool *seen, const char *name)
{
        return seen[find(name, strlen(name)) - table];
}

/* Options that would have no effect are refused. */
static int check_together(const SimOptions *o, const bool *seen)
{
        if (o->one && o->many)
                return usage("--seed is one run; --seeds, --from, --count and --seconds are many");
        if (is_given(seen, "seeds") && (is_given(seen, "from") || is_given(seen, "count")))
                return usage("--seeds says which runs; --from and --count cannot change that");
        if (o->recipe.n_steps > 0 && !o->one)
                return usage("--skip and --halve need --seed: steps differ from seed to seed");
        if ((o->trace || o->story || o->plan || o->until || o->no_fork) && !o->one)
                return usage("--trace, --story, --plan, --until and --no-fork need --seed");
        if (o->one && (o->write || o->failures > 0))
                return usage("--write and --failures are for many runs");
        return 0;
}

/* Which runs it is about. */
static int settle(SimOptions *o, const bool *seen)
{
        const bool has_from = is_given(seen, "from") || is_given(seen, "seeds");
        uint64_t draw;
        int r;

        o->one = is_given(seen, "seed");
        o->many = has_from || o->count > 0 || o->seconds > 0;
        r = check_together(o, seen);
        if (r != 0)
                return r;
        if (!o->one && !o->many && !o->rules && !o->profiles && !o->help && !o->check_known &&
                        !o->check_fixed)
                return usage("which runs? --seed, --seeds, --count, --seconds, --check-fixed or "
                             "--check-known");
        if (o->many && o->count == 0 && o->seconds == 0)
                return usage("how many runs? --count or --seconds");
        o->fresh = o->many && !has_from;
        if (o->fresh) {
                /* Not longer than people can copy. */
                if (getrandom(&draw, sizeof draw, 0) != (ssize_t) sizeof draw)
                        return usage("the kernel has no random numbers");
                o->from = draw >> 24;
        }
        return 0;
}

int sim_options_parse(SimOptions *o, int argc, char **argv)
{
        bool seen[ELEMENTSOF(table)] = {};
        const long cores = sysconf(_SC_NPROCESSORS_ONLN);

        *o = (SimOptions){.jobs = cores > 0 ? (unsigned) MIN(cores, (long) JOBS_MAX) : 1,
                        .cpu_seconds = 60,
                        .shrink_seconds = 120};
        for (int i = 1; i < argc; i++) {
                const int r = parse_one(o, argv, &i, seen);

                if (r > 0)
                        return r;
        }
        o->jobs = MAX(MIN(o->jobs, JOBS_MAX), 1u);
        return settle(o, seen);
}
