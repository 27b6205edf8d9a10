/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages in memory: found by id, kept while something needs them, announced to the observer. */

#include "client/state/types.h"

#define RECENT_MAX 1000u

/* On success takes over the contents of the record. For a message to several receivers it also creates the
 * Fanout. Nothing needs the message yet, so message_release() would free it. Returns 0, -EINVAL or -ENOMEM.
 */
int message_new(Client *c, OutboxRecord *record, Message **ret);
Message *message_find(
                Client *c, sd_id128_t id); /* in memory: the only delivery, or the whole; NULL: not there */
Message *message_find_member(Client *c, sd_id128_t id, uint32_t member);
uint32_t message_hash(sd_id128_t id, uint64_t member);

bool message_is_member(
                const Message *m); /* a member of a message to several receivers; users do not see it */
Policy message_policy(const Message *m); /* the sender's settings, completed by the configuration */

/* The disk has its present state. */
static inline bool message_is_synced(const Message *m)
{
        return !m->save.running && !m->save.again && !retry_is_waiting(&m->save.retry);
}

/* It was never sent, so no receiver can know it. */
static inline bool message_never_started(const Message *m)
{
        return m->link.sends == 0 && !m->record.duplicate;
}

void message_announce(Message *m); /* tells the observer, and adds it to the list of the newest */
void message_changed(Message *m);  /* tells the observer */

void message_pin(Message *m);
void message_unpin(Message *m);
void message_release(Message *m); /* frees it if nothing needs it */
void message_forget(Message *m);  /* it is purged from the disk: removes it from the list of the newest */

int message_keep_payload(Message *m, const void *data); /* copies record.size bytes; 0 or -ENOMEM */
void message_drop_payload(Message *m);                  /* the payload is on disk, or nobody needs it */
/* Frees a payload of more than 4 KiB that cannot be sent now. The client reads it from disk again later. */
void message_drop_large_payload(Message *m);

void message_leave_queue(Message *m); /* it is final */
int message_enter_queue(Message *m);  /* it was final */

/* Frees all messages, at the end of the process. */
void messages_clear(Client *c);
