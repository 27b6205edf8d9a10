/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of a daemon. Each option sets one key of the configuration, so files and options share
 * one table. Every daemon has --help, --version, --check, --config, --state-dir and --log-level; its table
 * must have StateDirectory and LogLevel. */

#include "runtime/conf.h"

typedef enum OptionUse {
        OPTION_VALUE, /* --name VALUE */
        OPTION_FLAG,  /* --name or --name=BOOL */
        OPTION_EARLY, /* as OPTION_VALUE, but set before the files are read, because it decides which ones */
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
        const Option *options; /* ends with an option without a name; at most OPTIONS_MAX */
        /* Returns the name (malloc'ed) of a second file in the directory of the configuration, which is read
         * after the first; or NULL for none. The pointer may be NULL. */
        char *(*second_file)(const void *object);
        const char *words; /* the key that gets the words after "--"; NULL: no words are allowed */
} Options;

typedef enum OptionsWish {
        OPTIONS_RUN,
        OPTIONS_ANSWERED, /* --help or --version */
        OPTIONS_CHECK,    /* --check: the configuration is read, and the program ends */
} OptionsWish;

/* Reads the files, then the command line. Returns an OptionsWish, or negative errno with the reason. A
 * reload calls it again with a fresh object. */
int options_read(const Options *o, int argc, char **argv, void *object, Error *error);

/* Sets the level of the log, if the object has one: when all of the configuration is right. */
void options_apply_log_level(const Options *o, const void *object);
