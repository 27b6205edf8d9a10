/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The data that all parts of ackctl share: command-line options, terminal, bus connection. Results go to
 * standard output. Messages to people go to standard error. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

#define BUS_NAME          "org.ackgroup.Client1"
#define BUS_PATH          "/org/ackgroup/Client1"
#define MANAGER_INTERFACE BUS_NAME ".Manager"
#define MESSAGE_INTERFACE BUS_NAME ".Message"

typedef enum ExitCode {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_NOT_ACKED = 3, /* the message is rejected, cancelled or dead */
        EXIT_TIMEOUT = 4,
        EXIT_NO_SERVICE = 5,
        EXIT_NOT_FOUND = 6, /* no such receiver or message */
        EXIT_INTERRUPTED = 130,
} ExitCode;

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
        _JSON_MODE_MAX,
} JsonMode;

typedef struct Ctl {
        /* The options, set by options.c. Strings point into argv; NULL: not given. */
        bool user, system, no_ask_password, no_legend, no_pager, version;
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
        /* Set by pager.c: a process id or 0; the width of the terminal that it shows, 0: not known. */
        pid_t pager;
        size_t columns;

        /* The connection, set by bus.c. */
        sd_bus *bus;
        sd_event *event;
        bool on_session_bus;
        pid_t agent;   /* process id of the password agent; 0 or less: none */
        bool hopeless; /* the last call failed, and similar calls would fail too */

        /* Set by each.c: the one of several words of the command line that an error is about, or NULL. */
        const char *about;
} Ctl;
