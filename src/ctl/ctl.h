/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What was asked for on the command line, and what every verb shares. Messages to people go to standard
 * error, results to standard output. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

typedef enum ExitCode {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_NOT_ACKED = 3, /* rejected, cancelled, dead */
        EXIT_TIMEOUT = 4,
        EXIT_NO_SERVICE = 5,
        EXIT_NOT_FOUND = 6, /* receiver or message */
        EXIT_INTERRUPTED = 130,
} ExitCode;

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
        _JSON_MODE_MAX,
} JsonMode;

typedef enum OptionId {
        OPTION_FIRST = 256, /* beyond every letter */
        OPTION_TO = OPTION_FIRST,
        OPTION_ANY,
        OPTION_QUORUM,
        OPTION_KEY,
        OPTION_FOLLOW_JOINS,
        OPTION_ACK_TIMEOUT,
        OPTION_BACKOFF,
        OPTION_BACKOFF_MAX,
        OPTION_MAX_ATTEMPTS,
        OPTION_DEADLINE,
        OPTION_IN,
        OPTION_AT,
        OPTION_PRIORITY,
        OPTION_IDEMPOTENCY_KEY,
        OPTION_DURABILITY,
        OPTION_GROUP,
        OPTION_LABEL,
        OPTION_INCLUDE_PLAIN,
        OPTION_FILE,
        OPTION_LINES,
        OPTION_NULL,
        OPTION_NO_WAIT,
        OPTION_TIMEOUT,
        OPTION_STATE,
        OPTION_LIMIT,
        OPTION_ALL,
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_USER,
        OPTION_SYSTEM,
        OPTION_HOST,
        OPTION_MACHINE,
        OPTION_NO_ASK_PASSWORD,
        OPTION_HELP,
        OPTION_VERSION,
        _OPTION_END,
} OptionId;

typedef struct Ctl {
        /* where */
        bool user, system;
        const char *host, *machine;
        bool no_ask_password;
        /* how to show */
        JsonMode json;
        bool no_legend;
        bool out_is_terminal, out_colour, err_colour;
        /* what */
        const char *to, *group, *file;
        const char *given[_OPTION_END - OPTION_FIRST]; /* what options of send were given, as words */
        bool lines, null;
        bool any, no_wait, include_plain, follow_joins, all;
        char **labels, **states;
        uint64_t timeout_usec; /* 0: none */
        unsigned limit;

        sd_bus *bus;
        sd_event *event;
        bool on_session_bus;
        pid_t agent;   /* that asks for a password; not above 0: none */
        bool hopeless; /* the last call failed as each that is like it would */
} Ctl;

typedef enum Style {
        STYLE_NONE,
        STYLE_GOOD,
        STYLE_BAD,
        STYLE_WARN,
        STYLE_DIM,
        STYLE_BOLD,
        _STYLE_MAX,
} Style;

const char *style_begin(bool colour, Style style);
const char *style_end(bool colour, Style style);

/* One line to standard error, "ackctl: …"; returns `code`. */
int ctl_fail(ExitCode code, const char *format, ...) _printf_(2, 3);

/* The verbs; each returns an exit code. argv[0] is the verb. */
int verb_list(Ctl *c, int argc, char **argv);
int verb_send(Ctl *c, int argc, char **argv);
int verb_messages(Ctl *c, int argc, char **argv);
int verb_show(Ctl *c, int argc, char **argv);
int verb_wait(Ctl *c, int argc, char **argv);
int verb_cancel(Ctl *c, int argc, char **argv);
int verb_trace(Ctl *c, int argc, char **argv);
int verb_why(Ctl *c, int argc, char **argv);
int verb_drain(Ctl *c, int argc, char **argv);
int verb_resume(Ctl *c, int argc, char **argv);
int verb_dead(Ctl *c, int argc, char **argv);
int verb_monitor(Ctl *c, int argc, char **argv);
int verb_status(Ctl *c, int argc, char **argv);
int ctl_interactive(Ctl *c);
