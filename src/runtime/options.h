/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of a daemon over its configuration files: each option is a key of the configuration under
 * another name, so both come through one table. --help, --version, --config, --state-dir and --log-level are
 * every daemon's; the keys StateDirectory and LogLevel must be in its table. */

#include "runtime/conf.h"

typedef enum OptionUse {
        OPTION_VALUE, /* --name VALUE */
        OPTION_FLAG,  /* --name or --name=BOOL */
        OPTION_EARLY, /* as OPTION_VALUE; set before the files are found, since it says which ones */
} OptionUse;

typedef struct Option {
        const char *name;
        const char *key;
        OptionUse use;
} Option;

#define OPTIONS_MAX 32

typedef struct Options {
        const char *help; /* all of it */
        const char *section;
        const ConfTable *table;
        const Option *options; /* ends with one without a name; at most OPTIONS_MAX */
        /* A second file below the directory of the configuration, read after the first, or NULL. Malloc'ed,
         * or NULL for none. May be NULL. */
        char *(*second_file)(const void *object);
        const char *words; /* the key (of words) for what follows "--", or NULL: nothing may */
} Options;

/* Files first, then the command line. 0, or 1 when --help or --version has been answered, or negative with
 * the reason in `error`. Sets the log level. */
/* May be called again, for a reload, with a fresh object. */
int options_read(const Options *o, int argc, char **argv, void *object, Error *error);
