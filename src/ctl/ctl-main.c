/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "config.h"
#include "ctl/bus.h"
#include "ctl/help.h"

#define OPTIONS_MAX 64

static int set_json(Ctl *c, const char *value)
{
        static const char *const modes[_JSON_MODE_MAX] = {"off", "short", "pretty"};

        for (unsigned i = 0; i < ELEMENTSOF(modes); i++)
                if (str_equal(value, modes[i])) {
                        c->json = i;
                        return 0;
                }
        return ctl_fail(EXIT_USAGE, "--json is \"short\", \"pretty\" or \"off\", not \"%s\"", value);
}

/* Options that only set what they are called. */
static const struct {
        OptionId id;
        size_t offset; /* in Ctl: of a bool */
} flags[] = {
                {OPTION_ANY, offsetof(Ctl, any)},
                {OPTION_FOLLOW_JOINS, offsetof(Ctl, follow_joins)},
                {OPTION_INCLUDE_PLAIN, offsetof(Ctl, include_plain)},
                {OPTION_LINES, offsetof(Ctl, lines)},
                {OPTION_NULL, offsetof(Ctl, null)},
                {OPTION_NO_WAIT, offsetof(Ctl, no_wait)},
                {OPTION_ALL, offsetof(Ctl, all)},
                {OPTION_NO_LEGEND, offsetof(Ctl, no_legend)},
                {OPTION_USER, offsetof(Ctl, user)},
                {OPTION_SYSTEM, offsetof(Ctl, system)},
                {OPTION_NO_ASK_PASSWORD, offsetof(Ctl, no_ask_password)},
};

static const struct {
        OptionId id;
        size_t offset; /* in Ctl: of a string */
} texts[] = {
                {OPTION_TO, offsetof(Ctl, to)},
                {OPTION_GROUP, offsetof(Ctl, group)},
                {OPTION_FILE, offsetof(Ctl, file)},
                {OPTION_HOST, offsetof(Ctl, host)},
                {OPTION_MACHINE, offsetof(Ctl, machine)},
};

static bool set_plain(Ctl *c, OptionId id, const char *value)
{
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (flags[i].id == id) {
                        *(bool *) ((char *) c + flags[i].offset) = true;
                        return true;
                }
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (texts[i].id == id) {
                        *(const char **) (void *) ((char *) c + texts[i].offset) = value;
                        return true;
                }
        return false;
}

/* 0, or an exit code. */
static int set_option(Ctl *c, OptionId id, const char *value)
{
        if (set_plain(c, id, value))
                return 0;
        switch (id) {
        case OPTION_LABEL:
                return strv_append(&c->labels, value) < 0 ? EXIT_FAILED : 0;
        case OPTION_STATE:
                return strv_append(&c->states, value) < 0 ? EXIT_FAILED : 0;
        case OPTION_QUORUM:
        case OPTION_KEY:
        case OPTION_ACK_TIMEOUT:
        case OPTION_BACKOFF:
        case OPTION_BACKOFF_MAX:
        case OPTION_MAX_ATTEMPTS:
        case OPTION_DEADLINE:
        case OPTION_IN:
        case OPTION_AT:
        case OPTION_PRIORITY:
        case OPTION_IDEMPOTENCY_KEY:
        case OPTION_DURABILITY:
                c->given[id - OPTION_FIRST] = value;
                return 0;
        case OPTION_TIMEOUT:
                if (parse_duration(value, &c->timeout_usec) < 0)
                        return ctl_fail(EXIT_USAGE, "--timeout is a time like 5s or 1min, not \"%s\"",
                                        value);
                return 0;
        case OPTION_LIMIT:
                if (parse_unsigned(value, 1, UINT32_MAX, &c->limit) < 0)
                        return ctl_fail(EXIT_USAGE, "--limit is a number from 1, not \"%s\"", value);
                return 0;
        case OPTION_JSON:
                return set_json(c, value);
        default:
                return EXIT_USAGE;
        }
}

static void make_getopt(struct option *ret_long, char *ret_short)
{
        size_t n = 0;

        for (const OptionHelp *o = option_helps; o->name; o++) {
                ret_long[n++] = (struct option){
                                o->name, o->value ? required_argument : no_argument, NULL, o->id};
                if (!o->letter)
                        continue;
                *ret_short++ = o->letter;
                if (o->value)
                        *ret_short++ = ':';
        }
        ret_long[n] = (struct option){};
        *ret_short = '\0';
}

static OptionId option_of_letter(int letter)
{
        for (const OptionHelp *o = option_helps; o->name; o++)
                if (o->letter == letter)
                        return o->id;
        return (OptionId) letter;
}

/* Sets what was asked for; *ret_seen gets a bit for each option that was there. */
static int read_options(Ctl *c, int argc, char **argv, uint64_t *ret_seen)
{
        struct option long_options[OPTIONS_MAX];
        char letters[2 * OPTIONS_MAX];
        int letter;

        make_getopt(long_options, letters);
        while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) >= 0) {
                if (letter == '?') {
                        fputs("\"ackctl --help\" shows what there is.\n", stderr);
                        return EXIT_USAGE;
                }
                OptionId id = option_of_letter(letter);
                *ret_seen |= UINT64_C(1) << (id - OPTION_FIRST);
                if (id == OPTION_HELP || id == OPTION_VERSION)
                        continue;
                int r = set_option(c, id, optarg);
                if (r != 0)
                        return r;
        }
        if (c->user && c->system)
                return ctl_fail(EXIT_USAGE, "--user and --system exclude each other");
        if (c->user && c->host)
                return ctl_fail(EXIT_USAGE, "--host reaches the system's client only, not --user");
        if (c->host && c->machine)
                return ctl_fail(EXIT_USAGE, "--host and --machine exclude each other");
        if ((c->host && str_empty(c->host)) || (c->machine && str_empty(c->machine)))
                return ctl_fail(EXIT_USAGE, "--host and --machine need a name");
        return 0;
}

static bool was_seen(uint64_t seen, OptionId id)
{
        return seen >> (id - OPTION_FIRST) & 1;
}

/* An option may have a row for each verb that it means something else to. */
static bool means_something(OptionId id, const Verb *v)
{
        for (const OptionHelp *o = option_helps; o->name; o++)
                if (o->id == id && (!o->verbs || (v && o->verbs & v->bit)))
                        return true;
        return false;
}

/* Without a verb `v` is NULL. */
static int check_use(const Verb *v, int argc, uint64_t seen)
{
        for (const OptionHelp *o = option_helps; o->name; o++) {
                if (!was_seen(seen, o->id) || means_something(o->id, v))
                        continue;
                return v ? ctl_fail(EXIT_USAGE, "--%s means nothing to %s (see \"ackctl %s --help\")",
                                           o->name, v->name, v->name)
                         : ctl_fail(EXIT_USAGE, "--%s means nothing without a verb", o->name);
        }
        if (!v)
                return 0;
        if (argc - 1 < v->min)
                return ctl_fail(EXIT_USAGE, "%s needs %s (see \"ackctl %s --help\")", v->name, v->arguments,
                                v->name);
        if (v->max >= 0 && argc - 1 > v->max)
                return ctl_fail(EXIT_USAGE, "too many arguments for %s; quote a message that has blanks",
                                v->name);
        return 0;
}

static int run(Ctl *c, int argc, char **argv, uint64_t seen)
{
        const Verb *v = NULL;
        int r;

        if (was_seen(seen, OPTION_VERSION)) {
                puts("ackctl " ACKGROUP_VERSION);
                return EXIT_OK;
        }
        if (argc > 0 && str_equal(argv[0], "help"))
                argc--, argv++, seen |= UINT64_C(1) << (OPTION_HELP - OPTION_FIRST);
        if (argc > 0 && !(v = verb_find(argv[0])))
                return ctl_fail(EXIT_USAGE, "there is no \"%s\"; \"ackctl --help\" shows what there is",
                                argv[0]);
        if (was_seen(seen, OPTION_HELP)) {
                help_print(v);
                return EXIT_OK;
        }
        r = check_use(v, argc, seen);
        if (r == 0 && !v && !(isatty(STDIN_FILENO) && c->out_is_terminal)) {
                help_usage(stderr);
                return EXIT_USAGE;
        }
        if (r == 0)
                r = bus_connect(c);
        if (r == 0)
                r = v ? v->run(c, argc, argv) : ctl_interactive(c);
        bus_disconnect(c);
        return r;
}

int main(int argc, char **argv)
{
        const char *no_colour = getenv("NO_COLOR");
        bool colour = str_empty(no_colour);
        uint64_t seen = 0;
        Ctl c = {
                        .out_is_terminal = isatty(STDOUT_FILENO),
                        .out_colour = colour && isatty(STDOUT_FILENO),
                        .err_colour = colour && isatty(STDERR_FILENO),
        };
        int r;

        (void) setlocale(LC_CTYPE, "");
        r = read_options(&c, argc, argv, &seen);
        if (r == 0)
                r = run(&c, argc - optind, argv + optind, seen);
        /* Who reads the result must know when there is less than all of it. */
        if ((fflush(stdout) != 0 || ferror(stdout)) && r == EXIT_OK)
                r = ctl_fail(EXIT_FAILED, "cannot write the output: %s", strerror(errno));
        sd_event_unref(c.event);
        strv_free(c.labels);
        strv_free(c.states);
        return r;
}
