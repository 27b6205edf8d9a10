/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs the handler of one job. It is the configured command, with the payload as its input and the facts of
 * the message in its environment; without a command, a line in the log. */

#include "receiver/job.h"

/* How one run ended. Handler.done gets it when the child is gone, and takes over `data` (malloc'ed): the
 * reply, or the reason. */
typedef enum HandlerEnd {
        HANDLER_ACKED,
        HANDLER_REJECTED,
        HANDLER_FAILED,
        HANDLER_CANCELLED, /* killed because its sender cancelled it */
        HANDLER_ABANDONED, /* killed because the receiver ends */
} HandlerEnd;

typedef struct Handler {
        /* Set by the root before handler_load(). */
        Loop *loop;
        const ReceiverConfig *config;
        const ReceiverInfo *info;
        Warden *warden;
        void (*done)(Job *job, HandlerEnd end, uint8_t *data, size_t size, void *userdata);
        void *userdata;

        char *program;      /* NULL: the built-in handler */
        char **environment; /* ours, without what systemd means for the receiver alone */
        bool is_local;      /* see executable_is_local() */
        bool cannot_run;    /* the last run could not be started */
} Handler;

/* Looks up the program of `command` (may be NULL or empty). When it fails, nothing has changed; negative
 * errno with the reason. */
int handler_load(Handler *h, char *const *command, Error *error);
int handler_check(char *const *command, Error *error); /* only looks it up */
void handler_clear(Handler *h);

/* Runs the handler for a job that is JOB_RUNNING. Returns 1 when the message is acknowledged at once (the
 * built-in handler), 0 when `done` will be called from the loop, or negative errno when no handler can be
 * started now. */
int handler_run(Handler *h, Job *job);
