/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The root of the client. It creates the parts, loads the outbox, sets the callbacks, and stops the client.
 *
 *   bus/      the D-Bus interface
 *   intake/   accepts messages, asks discovery, starts and expires messages by the clock, explains, purges
 *   engine/   drives each message through the states of model/delivery, and writes each step to disk
 *   link/     receivers, and one connection to each
 *   state/    the data; state/types.h names the writer of each field */

#include "client/state/types.h"

/* The caller has filled in `c->config`. Returns 0, or a negative errno with a sentence in `error`. */
int client_start(Client *c, const ClientObserver *observer, Error *error);
/* Accepts no more messages, finishes the writes in progress and closes the database. Before it returns, it
 * has called the callback of every caller that waits for the disk. */
void client_stop(Client *c);
void client_clear(Client *c);
void client_reload(
                Client *c, const ClientConfig *fresh); /* copies the settings that may change at run time */
