/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A small receiver in a process of a world: it holds a lock, has a warden, and runs handlers on demand. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "world/process-child.h"

#define ORDERS_MAX 1000u

typedef struct Order {
        const void *input;
        size_t size;
        char message[60]; /* "ACKGROUP_MESSAGE=…" */
        bool is_due, is_flagged;
        uint64_t due_at; /* not before */
        Child *child;    /* NULL: not begun, or over */
        unsigned n_runs;

        int error; /* of the spawn */
        unsigned n_done;
        int status;
        bool timed_out, cut;
        bool takes_output; /* without memory for anything else */
        size_t output_size;
        char output[100]; /* its beginning */
        unsigned n_lines;
        char line[CHILD_REPORT_MAX + 1]; /* the newest */
} Order;

typedef struct Fixture {
        Machine *machine;
        Process *process;
        Loop *loop;
        uint64_t timeout_usec;
        Order orders[ORDERS_MAX];
        unsigned n;
        uint64_t ready_at; /* when it had the lock */
        unsigned n_warden_deaths;
        bool repeats; /* a failure, or the end of the receiver, is followed by another run */
} Fixture;
extern Fixture fixture;

void fixture_begin(void); /* the world, with the process; not started */
void fixture_end(void);
void fixture_start(void);
void fixture_restart(void);                           /* the same from inside of the run */
Order *fixture_order(const void *input, size_t size); /* it runs soon */
void fixture_run(uint64_t usec);
