/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The members of a message to several receivers. Acceptance chooses them. An operation on all members reads
 * them from disk first. */

#include "client/state/types.h"

/* An operation on all members. */
typedef struct MemberWalk {
        void (*begin)(Message *m); /* `begin` and `end` may be NULL */
        void (*each)(Message *member);
        void (*end)(Message *m, size_t n);
} MemberWalk;

/* Reads the members of `m`, then walks over them. If a read fails, it tries again later. Pins `m` until the
 * walk is over. */
void members_walk(Message *m, const MemberWalk *walk);

/* Makes records of the members that the selector of `m` selects. Returns 0; -ENOENT (too few receivers, or
 * discovery does not answer) or -EINVAL (too many), with a sentence in `error`; or -ENOMEM. */
int members_choose(Message *m, OutboxRecord **ret, size_t *ret_n, Error *error);
/* `number`: the number of the member; 0: the outbox chooses one. Returns 0 or -ENOMEM. The caller clears
 * `ret` in both cases. */
int member_make(const Message *m, const ReceiverInfo *info, size_t number, OutboxRecord *ret);
/* The member is on disk. Takes over the contents of the record. */
void member_add(Message *m, OutboxRecord *record);

void members_clear(Client *c); /* after the database is closed */
