/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/help.h"

#include <stdlib.h>

#include "ctl/options.h"

/* The number of spaces that pad `text` to `columns`. */
static int padding(const char *text, int columns)
{
        return MAX(columns - (int) mbstowcs(NULL, text, 0), 0);
}

static void print_options(uint64_t ids)
{
        for (OptionId id = 0; id < _OPTION_MAX; id++) {
                const Option *o = options_table + id;
                char left[40], letter[8] = "   ";

                if (!(ids & OPTION_BIT(id)))
                        continue;
                if (o->letter)
                        (void) snprintf(letter, sizeof letter, "-%c ", o->letter);
                (void) snprintf(left, sizeof left, "%s%s%s%s%s", letter, o->name ? "--" : "", o->name ?: "",
                                o->value ? "=" : "", o->value ?: "");
                printf("  %s%*s %s\n", left, padding(left, 26), "", o->text);
        }
}

void help_print_usage(FILE *to)
{
        fputs("Usage: ackctl [OPTION…] VERB …\n"
              "       ackctl                     on a terminal: choose a receiver, type messages\n"
              "\"ackctl --help\" shows the verbs and options.\n",
                        to);
}

static void print_codes(void)
{
        puts("\nExit status: 0 done (send, wait: acked), 1 failed, 2 wrong usage,\n"
             "3 rejected, dead or cancelled, 4 timeout, 5 no service, 6 no such receiver or message.");
}

void help_print_verb(const Verb *v)
{
        printf("Usage: ackctl %s [OPTION…]%s%s\n\n%s", v->name, v->arguments[0] ? " " : "", v->arguments,
                        v->text);
        puts("\nOptions:");
        print_options(v->options);
        print_options(OPTIONS_EVERYWHERE);
        print_codes();
}

void help_print(const Verb *verbs)
{
        puts("Usage: ackctl [OPTION…] VERB …\n\n"
             "Sends messages to the receivers of a group, and shows what became of them.\n"
             "Without a verb, on a terminal: choose a receiver, type messages.\n\nVerbs:");
        for (const Verb *v = verbs; v->name; v++)
                printf("  %-9s %s%*s %s\n", v->name, v->arguments, padding(v->arguments, 14), "",
                                v->summary);
        puts("\nOptions of every verb (\"ackctl VERB --help\" shows its own):");
        print_options(OPTIONS_EVERYWHERE);
        puts("\nWithout --user or --system: the system's client, or the session's if that is the only one.");
        print_codes();
}
