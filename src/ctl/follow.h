/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits for messages, one after the other. Prints each step to standard error, and the reply to standard
 * output. If the client restarts, ackctl asks again: the client has the message on disk. */

#include "ctl/ctl.h"

typedef struct Follow Follow;

/* Subscribes to events. Call it before you send a message, so that no event is missed. Returns 0, or an exit
 * code after printing the reason. */
int follow_new(Ctl *c, Follow **ret);
Follow *follow_free(Follow *f);
DEFINE_CLEANUP(Follow *, follow_free)

/* Waits until the message is final, --timeout expires, or the user presses Ctrl-C. `id`: the whole id, as
 * the client returned it. `mode`: the mode of the message. Returns an exit code. */
int follow_message(Follow *f, const char *id, const char *mode);
