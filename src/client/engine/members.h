/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The members of a message to several receivers: chosen at acceptance, and read from disk when something is
 * to be done with all of them. */

#include "client/state/types.h"

/* What is done with the members when they are in memory. */
typedef struct MemberWalk {
        void (*begin)(Message *m); /* may be NULL, as may `end` */
        void (*each)(Message *member);
        void (*end)(Message *m, size_t n);
} MemberWalk;

/* Reads the members of `m`, again and again where the disk refuses, then walks over them. `m` is pinned
 * until then. */
void members_walk(Message *m, const MemberWalk *walk);

/* Records of the members that the selector of `m` means. -ENOENT with a sentence when there are too few, or
 * nobody can say who is there; -EINVAL: too many; -ENOMEM. */
int members_choose(Message *m, OutboxRecord **ret, size_t *ret_n, Error *error);
/* `number`: of the member; 0 where the outbox shall find one. 0 or -ENOMEM; then `ret` may hold something.
 */
int member_make(const Message *m, const ReceiverInfo *info, size_t number, OutboxRecord *ret);
/* The member is on disk; takes what the record holds. */
void member_add(Message *m, OutboxRecord *record);

void members_clear(Client *c); /* the database is closed */
