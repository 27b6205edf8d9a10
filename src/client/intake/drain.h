/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks discovery to drain a receiver for maintenance, or to resume it. While a receiver drains, no client
 * sends it new messages. */

#include "client/state/types.h"

/* Called once, from the loop. `status`: the HTTP status of discovery (204: success). 0 or less: discovery
 * did not answer, and `problem` says why. */
typedef void (*DrainDone)(int status, const char *problem, void *userdata);

/* `receiver`: an id or a name. Returns 0, -ENOENT (no such receiver), -ENOTUNIQ (several) or another
 * negative errno. On failure it does not call `done`. */
int client_drain(Client *c, const char *receiver, bool drain, DrainDone done, void *userdata);

void drains_end(Client *c); /* the client stops: fails the open requests */
