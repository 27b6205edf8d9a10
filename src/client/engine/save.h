/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes the state of a message to disk. One write per message is in progress at a time. If the message
 * changes meanwhile, another write follows. Client.saved runs when the write is synced: only then may the
 * client send a new binding or report an end. A failed write is tried again (state/retry). */

#include "client/state/types.h"

int saves_init(Client *c); /* 0 or negative errno; the timer is client.c's to clear */
void message_save(Message *m);
/* The next save also gives up this binding. When that save is synced, the sequence is settled. NULL as `w`:
 * plain text, which has no sequence. */
void save_give_up_binding(Message *m, SendWindow *w, uint64_t sequence);
/* True if it is a dead letter that exists in memory only. Its next save writes all of it to disk. */
bool message_must_be_persisted(const Message *m);
