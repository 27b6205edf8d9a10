/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Maintenance of a receiver, through discovery: while it drains no client sends it anything new. */

#include "client/state/types.h"

/* Called once, from the loop: discovery's HTTP status (204: it is done), or 0 or less when it does not
 * answer; then `problem` says why. */
typedef void (*DrainDone)(int status, const char *problem, void *userdata);

/* `receiver`: an id, or a name. 0, or -ENOENT, -ENOTUNIQ (no such receiver, several) or another errno; then
 * `done` is not called. */
int client_drain(Client *c, const char *receiver, bool drain, DrainDone done, void *userdata);

void drains_end(Client *c); /* the client stops: discovery is not waited for */
