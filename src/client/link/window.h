/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The streams to one receiver. A window knows which sequences are settled, and which of them the receiver
 * has been told about. Only the newest stream gives out new sequences. An older one is closed when its open
 * sequences are settled. */

#include "client/state/types.h"

/* Returns the window for new sequences in `ret`. Creates one, and writes it to disk, if there is none or if
 * a few unsettled sequences hold up the newest one. Returns 0 or negative errno. */
int window_current(Peer *p, SendWindow **ret);
/* True if the window is on disk. Otherwise it starts a write, and LinkEvents.room follows. */
bool window_is_kept(SendWindow *w);
bool window_has_room(
                SendWindow *w); /* the receiver grants another sequence; if not, marks the peer as full */
/* Before a message is written: the receiver ends the connection when a sequence is a window or more above
 * the low mark that it has been told. So this tells it the present mark if necessary. */
void window_prepare(SendWindow *w, uint64_t sequence);
uint64_t window_take(SendWindow *w); /* the next sequence */
void window_settle(SendWindow *w,
                uint64_t sequence); /* the message's end is on disk, or the sequence was never used */
/* The same, for a window that may be gone. */
void window_settle_late(Client *c, sd_id128_t receiver, sd_id128_t stream, uint64_t sequence);

/* At start: window_load() for each stream on disk, window_load_open() for each of its open sequences, then
 * windows_loaded() once. Each returns 0 or negative errno. */
int window_load(Peer *p, sd_id128_t stream, SendWindow **ret);
int window_load_open(SendWindow *w, uint64_t sequence);
int windows_loaded(Peer *p);

int windows_init(Client *c);
/* Writes SETTLED frames to the connection: for newly settled sequences, or for `all` (a new connection). */
void windows_announce(Peer *p, bool all);
void windows_announce_last(Client *c);          /* to all receivers, before the loop ends */
void window_pruned(Peer *p, sd_id128_t stream); /* the receiver has forgotten the stream */
void windows_clear(Peer *p);
