/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes how far a message got. At most one write of a message is on its way; what changes meanwhile is
 * written behind it. What depends on the disk happens when the write is done: a binding may be sent, a
 * settlement may be announced. A disk that refuses (full, failing) is tried again every second; nothing is
 * forgotten. */

#include "client/state/types.h"

void message_save(Message *m);
/* In memory only, and a dead letter now: its save puts it on disk. */
bool message_must_be_persisted(const Message *m);
/* After a second what failed is tried again: saves, and reads of what waits. */
void saves_again_soon(Client *c);
void saves_on_timer(void *userdata); /* Client */
