/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message in memory. Of a million waiting ones only those are here that are bound to a receiver, next in a
 * queue, among the newest, or looked at; the rest is on disk and comes when it is needed. */

#include "client/state/types.h"

#define RECENT_MAX 1000u

/* Takes what the record holds, on success. The message is in memory until nothing needs it. */
int message_new(Client *c, OutboxRecord *record, Message **ret);
Message *message_find(Client *c, sd_id128_t id); /* in memory: the only delivery, or the whole */
Message *message_find_member(Client *c, sd_id128_t id, uint32_t member);
uint32_t message_hash(sd_id128_t id, uint64_t member);
Policy message_policy(const Message *m); /* what its sender said, or the configuration */

bool message_is_member(const Message *m); /* of a whole: it is not shown as a message */
void message_announce(Message *m);        /* tells the observer, and counts it among the newest */
void message_pin(Message *m);
void message_unpin(Message *m);
void message_release(Message *m); /* frees it when nothing needs it */
void message_changed(Message *m);
int message_keep_payload(Message *m, const void *data); /* a copy of record.size bytes; 0 or -ENOMEM */
void message_drop_payload(Message *m);                  /* it is on disk, or nobody needs it */
/* Small payloads are worth their memory. A large one that cannot be written now is read again when it can.
 */
void message_drop_large_payload(Message *m);
void message_leave_queue(Message *m); /* it is final */
int message_enter_queue(Message *m);  /* it was final */
void message_forget(Message *m);      /* it is purged from the disk */

/* The only one whose id begins with `prefix` (6 to 32 hex digits, or a UUID with dashes), in memory or on
 * disk. `done` gets it pinned for the duration of the call, or NULL with -ENOENT, -ENOTUNIQ, -EINVAL (no
 * such form) or what the disk says. It may be called before this returns. */
void message_look_up(Client *c, const char *prefix, void (*done)(Message *m, int r, void *userdata),
                void *userdata);

/* Frees all of them, for the end of the process. */
void messages_clear(Client *c);
