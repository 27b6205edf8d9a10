/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages in memory: found by id, kept while something needs them, announced to the observer. */

#include "client/state/types.h"

#define RECENT_MAX 1000u

/* Takes what the record holds, on success. Makes the Fanout of a message to several receivers. Nothing needs
 * the message yet: message_release() would free it. 0, -EINVAL, -ENOMEM. */
int message_new(Client *c, OutboxRecord *record, Message **ret);
Message *message_find(Client *c, sd_id128_t id); /* in memory: the only delivery, or the whole; or NULL */
Message *message_find_member(Client *c, sd_id128_t id, uint32_t member);
uint32_t message_hash(sd_id128_t id, uint64_t member);

bool message_is_member(const Message *m); /* of a message to several receivers: it is not shown */
Policy message_policy(const Message *m);  /* what its sender said, completed by the configuration */

/* Everything that was said of it is on disk. */
static inline bool message_is_synced(const Message *m)
{
        return !m->save.running && !m->save.again && !retry_is_waiting(&m->save.retry);
}

/* It was never on a wire, so no receiver needs to be asked about it. */
static inline bool message_never_started(const Message *m)
{
        return m->link.sends == 0 && !m->record.duplicate;
}

void message_announce(Message *m); /* tells the observer, and counts it among the newest */
void message_changed(Message *m);  /* tells the observer */

void message_pin(Message *m);
void message_unpin(Message *m);
void message_release(Message *m); /* frees it when nothing needs it */
void message_forget(Message *m);  /* it is purged from the disk: not among the newest any more */

int message_keep_payload(Message *m, const void *data); /* a copy of record.size bytes; 0 or -ENOMEM */
void message_drop_payload(Message *m);                  /* it is on disk, or nobody needs it */
/* Drops a payload over 4 KiB that cannot be sent now; it is read from disk again later. */
void message_drop_large_payload(Message *m);

void message_leave_queue(Message *m); /* it is final */
int message_enter_queue(Message *m);  /* it was final */

/* Frees all of them, at the end of the process. */
void messages_clear(Client *c);
