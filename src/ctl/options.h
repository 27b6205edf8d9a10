/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options of the command line. One table gives for each option its name, the field for its value, and
 * its argument in a call of Send or OpenStream. */

#include "ctl/ctl.h"

typedef enum OptionId {
        OPTION_TO,
        OPTION_ANY,
        OPTION_ALL_RECEIVERS, /* the meaning of --all depends on the verb */
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
        OPTION_ALL_NAMES,
        OPTION_JSON, /* every verb takes this option and all below */
        OPTION_J,
        OPTION_NO_LEGEND,
        OPTION_NO_PAGER,
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
        OPTION_FIT_MODE, /* JsonMode: pretty on a terminal, else short; the option has no value */
} OptionKind;

/* The D-Bus type of the value in a call. */
typedef enum CallKind {
        CALL_NOT,      /* not sent */
        CALL_FLAG,     /* b */
        CALL_TEXT,     /* s */
        CALL_LIST,     /* as */
        CALL_U32,      /* u */
        CALL_U64,      /* t, up to UINT32_MAX */
        CALL_DURATION, /* t, µs */
        CALL_INSTANT,  /* t, µs since 1970 */
        CALL_END,      /* t, µs since 1970; the user types a time, or a duration from now */
} CallKind;

typedef struct Option {
        char letter; /* 0: none; the first option with a letter or a name has it */
        const char *name, *value,
                        *text; /* value: placeholder in --help, NULL for a flag; text: for --help */
        OptionKind kind;
        size_t offset; /* of the field in Ctl */
        CallKind call_kind;
        const char *call_name;
} Option;

extern const Option options_table[_OPTION_MAX]; /* indexed by OptionId, in the order of --help */

/* Reads the options into *c. *ret_seen: a bit for each option that is present. *ret_argc and *ret_argv: the
 * other arguments; it reorders argv. Returns 0, or an exit code after printing the reason. */
int options_parse(Ctl *c, int argc, char **argv, uint64_t *ret_seen, int *ret_argc, char ***ret_argv);

/* Returns the name of an option that is in `seen` but not in `taken`, or NULL. Both are sets of bits. */
const char *options_find_excess(uint64_t seen, uint64_t taken);

void options_clear(Ctl *c); /* frees what options_parse() allocated */

/* Appends the message options as the last argument of Send or, with `stream_mode`, of OpenStream. Returns 0,
 * a negative errno, or an exit code (above 0) after printing the reason. */
int options_append(const Ctl *c, sd_bus_message *call, const char *stream_mode, const char *target);
