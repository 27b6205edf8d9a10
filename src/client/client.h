/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client daemon's root object. What its parts do:
 *   client-submit   accepts messages        client-deliver  drives each along model/delivery
 *   client-submitter  of programs that send in bulk
 *   client-message  those in memory         client-save     writes how far they got
 *   client-queue    those without receiver  client-peer     one connection per receiver
 *   client-ledger   what receivers may prune  client-plain  bare text
 *   client-bind     which receiver          client-trace    what became of each try
 *   client-whole    messages to several
 *   client-agenda   starts and deadlines    client-resolve  who is there
 *   client-bus      org.ackgroup.Client1 */

#include "client/state/types.h"

/* `c->config` is filled in already. */
int client_start(Client *c, const ClientObserver *observer, Error *error);
/* Accepts nothing more, finishes what is on its way to the disk and closes the database. Everybody who waits
 * for the disk has heard of it when this returns. */
void client_stop(Client *c);
void client_clear(Client *c);
void client_reload(Client *c, const ClientConfig *fresh); /* copies what may change while the client runs */
