/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options of the command line: one table says what each is called, where its value goes, and what it
 * adds to a call of Send or OpenStream. */

#include "ctl/ctl.h"

typedef enum OptionId {
        OPTION_TO,
        OPTION_ANY,
        OPTION_ALL_RECEIVERS, /* --all means something else to each verb that takes it */
        OPTION_QUORUM,
        OPTION_KEY,
        OPTION_GROUP,
        OPTION_LABEL,
        OPTION_INCLUDE_PLAIN,
        OPTION_FOLLOW_JOINS,
        OPTION_IN,
        OPTION_AT,
        OPTION_DEADLINE,
        OPTION_MAX_ATTEMPTS,
        OPTION_ACK_TIMEOUT,
        OPTION_BACKOFF,
        OPTION_BACKOFF_MAX,
        OPTION_PRIORITY,
        OPTION_IDEMPOTENCY_KEY,
        OPTION_FILE,
        OPTION_LINES,
        OPTION_NULL,
        OPTION_DURABILITY,
        OPTION_NO_WAIT,
        OPTION_TIMEOUT,
        OPTION_STATE,
        OPTION_LIMIT,
        OPTION_ALL_MESSAGES,
        OPTION_ALL_DEAD_LETTERS,
        OPTION_JSON, /* every verb takes the options from here on */
        OPTION_NO_LEGEND,
        OPTION_SYSTEM,
        OPTION_USER,
        OPTION_HOST,
        OPTION_MACHINE,
        OPTION_NO_ASK_PASSWORD,
        OPTION_HELP,
        OPTION_VERSION,
        _OPTION_MAX,
} OptionId;

#define OPTION_BIT(id)     (UINT64_C(1) << (id))
#define OPTIONS_EVERYWHERE (OPTION_BIT(_OPTION_MAX) - OPTION_BIT(OPTION_JSON))

/* The type of the field of Ctl. */
typedef enum OptionKind {
        OPTION_FLAG,     /* bool; the option has no value */
        OPTION_TEXT,     /* const char * */
        OPTION_LIST,     /* char **; the option may be repeated */
        OPTION_DURATION, /* uint64_t, µs */
        OPTION_NUMBER,   /* unsigned, from 1 */
        OPTION_MODE,     /* JsonMode */
} OptionKind;

/* How the value is sent in a call. */
typedef enum CallKind {
        CALL_NOT,
        CALL_FLAG,     /* b */
        CALL_TEXT,     /* s */
        CALL_LIST,     /* as */
        CALL_U32,      /* u */
        CALL_U64,      /* t, up to UINT32_MAX */
        CALL_DURATION, /* t, µs */
        CALL_INSTANT,  /* t, µs since 1970 */
        CALL_END,      /* t, µs since 1970; typed as an instant, or as a duration from now */
} CallKind;

typedef struct Option {
        char letter; /* 0: none */
        const char *name, *value,
                        *text; /* value: what is typed behind it, NULL for a flag; text: for --help */
        OptionKind kind;
        size_t offset; /* of the field in Ctl */
        CallKind call_kind;
        const char *call_name;
} Option;

extern const Option options_table[_OPTION_MAX]; /* indexed by OptionId, in the order of --help */

/* Reads the options into *c. *ret_seen: a bit for each that was given; *ret_argc and *ret_argv: what is not
 * an option (argv is reordered). 0, or an exit code after telling what is wrong. */
int options_parse(Ctl *c, int argc, char **argv, uint64_t *ret_seen, int *ret_argc, char ***ret_argv);

/* The name of an option that was seen and that is not among `taken`, or NULL. */
const char *options_find_excess(uint64_t seen, uint64_t taken);

void options_clear(Ctl *c); /* frees what options_parse() allocated */

/* Appends the options of a message, as the last argument of Send. With `stream_mode`, as that of OpenStream.
 * 0, a negative errno, or an exit code after telling what is wrong. */
int options_append(const Ctl *c, sd_bus_message *call, const char *stream_mode, const char *target);
