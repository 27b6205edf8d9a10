/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str-util.h"
#include "config.h"
#include "ctl/bus.h"
#include "ctl/help.h"
#include "ctl/interactive.h"
#include "ctl/options.h"
#include "ctl/pager.h"
#include "ctl/print.h"
#include "ctl/suggest.h"
#include "ctl/verbs.h"

static const Verb *find_verb(const char *name)
{
        for (const Verb *v = verbs_table; v->name; v++)
                if (str_equal(name, v->name))
                        return v;
        return NULL;
}

static const char *find_near_verb(const char *name)
{
        for (const Verb *v = verbs_table; v->name; v++)
                if (suggest_is_near(name, v->name))
                        return v->name;
        return suggest_is_near(name, "help") ? "help" : NULL;
}

static int unknown_verb(const char *name)
{
        const char *near = find_near_verb(name);

        return near ? ctl_fail(EXIT_USAGE, "there is no verb \"%s\"; did you mean \"%s\"?", name, near)
                    : ctl_fail(EXIT_USAGE, "there is no verb \"%s\"; \"ackctl --help\" shows the verbs",
                                      name);
}

/* Checks that the verb takes these options and this number of arguments. NULL as `v`: there is no verb. */
static int check_use(const Verb *v, int argc, uint64_t seen)
{
        const char *excess = options_find_excess(seen, OPTIONS_EVERYWHERE | (v ? v->options : 0));

        if (excess && v)
                return ctl_fail(EXIT_USAGE, "%s does not take --%s (see \"ackctl %s --help\")", v->name,
                                excess, v->name);
        if (excess)
                return ctl_fail(EXIT_USAGE, "--%s needs a verb", excess);
        if (!v)
                return 0;
        if (argc - 1 < v->min)
                return ctl_fail(EXIT_USAGE, "%s needs %s (see \"ackctl %s --help\")", v->name, v->arguments,
                                v->name);
        if (v->max >= 0 && argc - 1 > v->max)
                return ctl_fail(EXIT_USAGE, "too many arguments for %s; put a message with blanks in quotes",
                                v->name);
        return 0;
}

static int run_connected(Ctl *c, const Verb *v, int argc, char **argv)
{
        int r = bus_connect(c);

        if (r == 0)
                r = v ? v->run(c, argc, argv) : ctl_interactive(c);
        bus_disconnect(c);
        return r;
}

static int dispatch(Ctl *c, int argc, char **argv, uint64_t seen)
{
        const Verb *v = NULL;
        int r;

        if (c->version) {
                puts("ackctl " ACKGROUP_VERSION);
                return EXIT_OK;
        }
        if (argc > 0 && str_equal(argv[0], "help"))
                argc--, argv++, c->help = true;
        if (argc > 0 && !(v = find_verb(argv[0])))
                return unknown_verb(argv[0]);
        if (c->help) {
                if (v)
                        help_print_verb(v);
                else
                        help_print(verbs_table);
                return EXIT_OK;
        }
        r = check_use(v, argc, seen);
        if (r == 0 && !v && !(isatty(STDIN_FILENO) && c->out_is_terminal)) {
                help_print_usage(stderr);
                return EXIT_USAGE;
        }
        return r == 0 ? run_connected(c, v, argc, argv) : r;
}

int ctl_run(Ctl *c, int argc, char **argv)
{
        uint64_t seen;
        int r;

        r = options_parse(c, argc, argv, &seen, &argc, &argv);
        if (r == 0)
                r = dispatch(c, argc, argv, seen);
        /* The exit code must tell a program that reads the output if some of it is missing. */
        r = pager_close(c, r);
        if ((fflush(stdout) != 0 || ferror(stdout)) && r == EXIT_OK)
                r = ctl_fail(EXIT_FAILED, "cannot write the output: %s", strerror(errno));
        options_clear(c);
        return r;
}
