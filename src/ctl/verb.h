/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The type of a verb, and the functions of the verbs. verbs.c has the table. */

#include "ctl/ctl.h"

typedef struct Verb {
        const char *name;
        const char *arguments; /* as --help shows them */
        int min, max;          /* number of arguments; max -1: no limit */
        uint64_t options;      /* bits of the options that it takes, without OPTIONS_EVERYWHERE */
        int (*run)(Ctl *c, int argc, char **argv);
        const char *summary, *text; /* for --help: for the list of verbs; for the verb itself */
} Verb;

/* argv[0] is the verb. Each returns an exit code, and prints the reason if it fails. */
int verb_list(Ctl *c, int argc, char **argv);
int verb_send(Ctl *c, int argc, char **argv);
int verb_messages(Ctl *c, int argc, char **argv);
int verb_show(Ctl *c, int argc, char **argv);
int verb_wait(Ctl *c, int argc, char **argv);
int verb_cancel(Ctl *c, int argc, char **argv);
int verb_trace(Ctl *c, int argc, char **argv);
int verb_why(Ctl *c, int argc, char **argv);
int verb_dead(Ctl *c, int argc, char **argv);
int verb_drain(Ctl *c, int argc, char **argv);
int verb_resume(Ctl *c, int argc, char **argv);
int verb_monitor(Ctl *c, int argc, char **argv);
int verb_status(Ctl *c, int argc, char **argv);
