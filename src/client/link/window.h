/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which sequences of one stream to one receiver are settled, and what of it the receiver has been told. The
 * newest stream of this start is open for new sequences; older ones only end what they have open and are
 * then closed. */

#include "client/state/types.h"
#include "model/sequence-set.h"

/* The one for new sequences; made, and kept, when it is missing, or the one before is held up. */
int window_current(Peer *p, SendWindow **ret);
bool window_is_kept(SendWindow *l);                   /* if not, then soon: bind_for_peer() follows */
bool window_has_room(const SendWindow *l);            /* in the window that the receiver grants */
uint64_t window_open(SendWindow *l);                  /* the next sequence */
void window_settle(SendWindow *l, uint64_t sequence); /* its settlement is synced, or it was never used */

/* At start: a stream that is known from disk, and what is still open in it; then, after all, finish. */
int window_load(Peer *p, sd_id128_t stream, SendWindow **ret);
int window_load_open(SendWindow *l, uint64_t sequence);
int windows_load_finish(Peer *p);

/* Writes SETTLED frames to the connection: for what is news, or for all (a new connection). */
void windows_announce(Peer *p, bool all);
void window_pruned(Peer *p, sd_id128_t stream); /* the receiver has forgotten it */
void windows_on_timer(void *userdata);          /* Client */
void windows_announce_last(Client *c);          /* the process ends: what was not told yet */
void windows_clear(Peer *p);
