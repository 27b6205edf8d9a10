/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/campaign.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 32768
#define SEEDS_TRIED    400u

/* A line: options | rule | what it is. Empty lines and lines that begin with # count for nothing. */
typedef struct Line {
        unsigned number;
        char *options, *rule, *text; /* in the buffer of the line */
} Line;

static char *trim(char *s)
{
        char *end = s + strlen(s);

        while (end > s && (end[-1] == ' ' || end[-1] == '\n'))
                *--end = 0;
        return s + strspn(s, " ");
}

static bool parse_line(char *buffer, Line *ret)
{
        char *rest = buffer;

        ret->options = trim(strsep(&rest, "|"));
        ret->rule = rest ? trim(strsep(&rest, "|")) : NULL;
        ret->text = rest ? trim(rest) : NULL;
        return ret->text != NULL;
}

typedef int (*LineTaker)(const Line *line, void *userdata);

/* Returns the first value of `take` that is not 0, or a negative errno. */
static int read_lines(const char *path, LineTaker take, void *userdata)
{
        FILE *from = fopen(path, "re");
        char buffer[LINE_MAX_BYTES];
        Line line = {};
        int r = 0;

        if (!from) {
                fprintf(stderr, "ackgroup-sim: %s: %s\n", path, strerror(errno));
                return -errno;
        }
        while (r == 0 && fgets(buffer, sizeof buffer, from)) {
                char *text = trim(buffer);

                line.number++;
                if (text[0] == 0 || text[0] == '#')
                        continue;
                if (!parse_line(text, &line)) {
                        fprintf(stderr, "ackgroup-sim: %s:%u: not OPTIONS | RULE | TEXT\n", path,
                                        line.number);
                        r = -EINVAL;
                } else
                        r = take(&line, userdata);
        }
        (void) fclose(from);
        return r;
}

/* The options of a line are those of a recipe, and --no-memory-faults. */
static int parse_options(const char *text, SimOptions *o, Error *error)
{
        char *copy = strdup(text), *rest = copy, *word;
        int r = 0;

        assert(copy);
        while (r == 0 && (word = strsep(&rest, " "))) {
                if (word[0] == 0)
                        continue;
                if (strcmp(word, "--no-memory-faults") == 0) {
                        o->no_memory_faults = true;
                        continue;
                }
                const char *value = rest ? strsep(&rest, " ") : NULL;
                r = strncmp(word, "--", 2) == 0 && value
                                    ? recipe_parse_option(&o->recipe, word + 2, value, error)
                                    : -EINVAL;
                if (r < 0 && error->text[0] == 0)
                        (void) error_set(error, r, "\"%s\" is no option of a run", word);
        }
        free(copy);
        return r;
}

typedef struct Check {
        const SimOptions *options;
        const char *path;
        bool known;
        unsigned n, n_wrong;
} Check;

static void print_wrong(Check *c, const Line *line, const RunReport *r, const char *output)
{
        c->n_wrong++;
        if (report_is_good(r)) {
                printf("FIXED   %s: %s\n        %s:%u: it is fixed: move it to seeds.txt\n", line->rule,
                                line->text, c->path, line->number);
                return;
        }
        printf("BROKEN  %s: %s\n        %s:%u: once %s (%s)\n        ackgroup-sim %s\n%s", r->rule, r->text,
                        c->path, line->number, line->rule, line->text, line->options, output ?: "");
}

static bool is_as_expected(const Check *c, const Line *line, const RunReport *r)
{
        return c->known ? strcmp(r->rule, line->rule) == 0 : report_is_good(r);
}

/* A change of the plans or of the world gives the seed of a known fault another meaning. Then the next ones
 * are tried: the fault is still there if any of them finds it. */
static int search(const Check *c, const Line *line, SimOptions *o, RunReport *ret, uint64_t *ret_seed)
{
        const uint64_t seed = o->recipe.seed;
        RunReport r = {};
        int result = 0;

        if (o->recipe.n_steps > 0)
                return 0;
        for (uint64_t i = 1; i <= SEEDS_TRIED && result == 0; i++) {
                o->recipe.seed = seed + i;
                result = replay(o, &o->recipe, &r, NULL);
                if (result == 0 && is_as_expected(c, line, &r)) {
                        *ret = r;
                        *ret_seed = o->recipe.seed;
                        break;
                }
        }
        o->recipe.seed = seed;
        return result;
}

static int run_line(Check *c, const Line *line, SimOptions *o)
{
        RunReport r = {};
        char *output = NULL;
        uint64_t seed = 0;
        int result = replay(o, &o->recipe, &r, &output);

        if (result == 0 && c->known && !is_as_expected(c, line, &r))
                result = search(c, line, o, &r, &seed);
        if (result == 0 && !is_as_expected(c, line, &r)) {
                print_wrong(c, line, &r, output);
        } else if (result == 0) {
                printf("%s %s: %s\n", c->known ? "known  " : "ok     ", line->rule, line->text);
                if (seed > 0)
                        printf("        %s:%u: the seed that finds it is now %" PRIu64 "\n", c->path,
                                        line->number, seed);
        }
        (void) fflush(stdout);
        free(output);
        return result;
}

typedef struct Others {
        SimOptions *options;
        const char *rule;
} Others;

static int disable_other(const Line *line, void *userdata)
{
        const Others *o = userdata;

        if (strcmp(line->rule, o->rule) != 0)
                sim_options_disable(o->options, line->rule);
        return 0;
}

/* One known fault may break several of the rules in the list; each line is about its own. */
static int disable_others(const Check *c, const Line *line, SimOptions *o)
{
        Others others = {o, line->rule};

        o->disabled = o->disabled ? strdup(o->disabled) : NULL;
        return c->known ? read_lines(c->path, disable_other, &others) : 0;
}

static int check_line(const Line *line, void *userdata)
{
        Check *c = userdata;
        SimOptions o = *c->options;
        Error error = {};
        int result;

        o.recipe = (Recipe){};
        o.twice = strcmp(line->rule, RULE_REPEATS) == 0;
        result = disable_others(c, line, &o);
        if (result == 0)
                result = parse_options(line->options, &o, &error);
        if (result < 0)
                fprintf(stderr, "ackgroup-sim: %s:%u: %s\n", c->path, line->number, error.text);
        else
                result = run_line(c, line, &o);
        c->n++;
        sim_options_clear(&o);
        return result;
}

int campaign_check_list(const SimOptions *o, const char *path, bool known)
{
        Check c = {.options = o, .path = path, .known = known};
        const int r = read_lines(path, check_line, &c);

        if (r < 0)
                return 3;
        printf("%u runs of %s, %u not as expected\n", c.n, path, c.n_wrong);
        return c.n_wrong > 0;
}

static int except(const Line *line, void *userdata)
{
        sim_options_disable(userdata, line->rule);
        return 0;
}

int campaign_except(SimOptions *o, const char *path)
{
        return read_lines(path, except, o);
}
