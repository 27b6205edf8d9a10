/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes how far a message got. One write of a message is on its way at a time; what changes meanwhile is
 * written behind it. What depends on the disk happens in Client.saved, when the write is synced: a binding
 * may be sent, an end may be told. What the disk refuses is tried again (state/retry). */

#include "client/state/types.h"

void message_save(Message *m);
/* The next save gives up this binding too: when it is synced, the sequence is settled. `w` may be NULL. */
void save_give_up_binding(Message *m, SendWindow *w, uint64_t sequence);
/* It is a dead letter and in memory only, so that its save puts all of it on disk. */
bool message_must_be_persisted(const Message *m);
