/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs and options, with what is told about them. */

#include <stdio.h>

#include "ctl/ctl.h"

typedef struct OptionHelp {
        OptionId id;
        char letter;
        const char *name, *value; /* value: what it takes, or NULL */
        unsigned verbs;           /* bits of those that it means something to; 0: all */
        const char *text;
} OptionHelp;

typedef struct Verb {
        const char *name, *arguments;
        int min, max; /* arguments; max -1: any number */
        unsigned bit;
        int (*run)(Ctl *c, int argc, char **argv);
        const char *summary, *text;
} Verb;

extern const OptionHelp option_helps[]; /* ends with one without a name */

const Verb *verb_find(const char *name);
void help_print(const Verb *v); /* NULL: of the whole */
void help_usage(FILE *to);
