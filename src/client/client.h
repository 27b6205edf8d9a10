/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The root of the client: makes its parts, loads what is on disk, wires the callbacks, ends it.
 *
 *   bus/      shows the client on D-Bus
 *   intake/   accepts messages, asks discovery, starts and ends messages by the clock, explains, purges
 *   engine/   drives each message along model/delivery, and writes how far it got
 *   link/     receivers, and the one connection to each
 *   state/    the data, and who writes what (state/types.h) */

#include "client/state/types.h"

/* `c->config` is filled in already. */
int client_start(Client *c, const ClientObserver *observer, Error *error);
/* Accepts nothing more, finishes what is on its way to the disk and closes the database. Everybody who waits
 * for the disk has heard of it when this returns. */
void client_stop(Client *c);
void client_clear(Client *c);
void client_reload(Client *c, const ClientConfig *fresh); /* copies what may change while the client runs */
