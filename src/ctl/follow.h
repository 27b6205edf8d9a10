/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits for messages, one after the other. The steps go to standard error as they happen, the reply to
 * standard output. The client may be restarted meanwhile: it has the message on its disk and is asked again.
 */

#include "ctl/ctl.h"

typedef struct Follow Follow;

/* Subscribes to events; to be called before a message is sent, so that none of its events is missed. 0, or
 * an exit code after telling why. */
int follow_new(Ctl *c, Follow **ret);
Follow *follow_free(Follow *f);
DEFINE_CLEANUP(Follow *, follow_free)

/* Waits for the end of the message, for --timeout, or for Ctrl-C. The client has just named the message:
 * `id` is the whole id, `mode` its mode. Returns an exit code. */
int follow_message(Follow *f, const char *id, const char *mode);
