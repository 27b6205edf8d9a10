/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks at a message until its end: each step on standard error as it happens, the reply on standard output.
 * The client may be restarted meanwhile; the message is on its disk, so it is asked again. */

#include "ctl/ctl.h"

/* From now on events are kept; before the message is sent, so that none is missed. Returns an exit code. */
int follow_prepare(Ctl *c);
/* To its end, to --timeout, or to Ctrl-C. `id` is whole: the client that said it has been there, and is
 * waited for when it goes away. Of a message to several, which `mode` says, each reply is shown. Returns an
 * exit code.
 */
int follow_message(Ctl *c, const char *id, const char *mode);
