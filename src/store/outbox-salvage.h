/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For an outbox that cannot be read any more. */

#include "store/damage.h"

typedef struct OutboxSalvage {
        uint64_t n_messages, n_open; /* that are there again */
        uint64_t n_lost;             /* of which a part could be read; of others nothing is known */
        Damage damage;               /* where the damaged file is kept */
} OutboxSalvage;

/* Replaces the outbox by what can be read of it; everything open in it is a possible duplicate. The redo log
 * stays, and zeroes replace what the disk cannot read of it. No client may use it. 0 or negative errno with
 * the reason; until a fresh outbox is complete, nothing is replaced. */
int outbox_salvage(const char *path, OutboxSalvage *ret, Error *error);
