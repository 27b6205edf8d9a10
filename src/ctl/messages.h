/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Prints the table of messages; --limit and --all set the number. Returns an exit code. */
int messages_print(Ctl *c);

/* A manager method that has the id of a message as its only argument. `done` counts the calls that
 * succeeded. */
typedef struct MessageCall {
        const char *method;
        unsigned done;
} MessageCall;

/* For each_word(): calls the method. `call` is a MessageCall. */
int messages_call(Ctl *c, const char *id, void *call);
