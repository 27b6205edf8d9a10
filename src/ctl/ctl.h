/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every part of ackctl shares: the options of the command line, the terminal, the connection to the
 * bus. Results go to standard output; messages to people go to standard error. */

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

typedef struct Ctl {
        /* The options, set by options.c. Texts point into argv, as they were typed; NULL: not given. */
        bool user, system, no_ask_password, no_legend, version;
        bool help; /* written by run too */
        const char *host, *machine;
        JsonMode json;
        const char *to, *group, *quorum, *key, *file;
        const char *delay, *at, *deadline, *priority, *durability, *idempotency_key;
        const char *ack_timeout, *backoff, *backoff_max, *max_attempts;
        bool any, all, include_plain, follow_joins, lines, null, no_wait;
        char **labels, **states;
        uint64_t timeout_usec; /* 0: none */
        unsigned limit;        /* 0: not given */

        /* The terminal, written by ctl-main. */
        bool out_is_terminal, err_is_terminal, out_colour, err_colour;

        /* The connection, set by bus.c. */
        sd_bus *bus;
        sd_event *event;
        bool on_session_bus;
        pid_t agent;   /* the process that asks for a password; 0 or less: none */
        bool hopeless; /* the last call failed, and every call like it would fail too */
} Ctl;
