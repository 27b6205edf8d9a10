/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The streams to one receiver: which sequences are settled, and what of it the receiver has been told. Only
 * the newest stream gets new sequences. Older ones end what they have open and are then closed. */

#include "client/state/types.h"

/* The one for new sequences. Makes a new one, and writes it to disk, when there is none, or when a few
 * unsettled sequences hold up the one before. */
int window_current(Peer *p, SendWindow **ret);
/* It is on disk. If not, that is begun, and LinkEvents.room follows. */
bool window_is_kept(SendWindow *w);
bool window_has_room(SendWindow *w); /* as far as the receiver grants it; else the peer is marked as full */
uint64_t window_take(SendWindow *w); /* the next sequence */
void window_settle(SendWindow *w, uint64_t sequence); /* its end is on disk, or it was never used */

/* At start: a stream that is known from disk, then what is open in it. Behind all of them windows_loaded().
 */
int window_load(Peer *p, sd_id128_t stream, SendWindow **ret);
int window_load_open(SendWindow *w, uint64_t sequence);
int windows_loaded(Peer *p);

int windows_init(Client *c);
/* Writes SETTLED frames to the connection: for what is new, or for everything (a new connection). */
void windows_announce(Peer *p, bool all);
void windows_announce_last(Client *c); /* what is new, to all of them; the loop will not run again */
void window_pruned(Peer *p, sd_id128_t stream); /* the receiver has forgotten it */
void windows_clear(Peer *p);
