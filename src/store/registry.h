/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Discovery's database: one row per receiver. Discovery works in memory and writes changes later, in large
 * batches. Row numbers are never used again, so new rows go to the end of the file. */

#include "base/buffer.h"
#include "store/db.h"
#include <systemd/sd-id128.h>

int registry_open(const char *path, Db **ret, Error *error);

/* When it is damaged: keeps a copy (store/damage.h) and removes it. All that is in it comes again, since
 * receivers register again; only their draining is lost. `ret` tells where the copy is. 0 or negative errno.
 */
int registry_set_aside(const char *path, Damage *ret);

/* Before db_start(). Calls `fn` for each receiver; a negative return ends the walk and is returned. */
int registry_load(Db *db,
                int (*fn)(uint64_t row, sd_id128_t id, sd_id128_t token, const char *record, void *userdata),
                void *userdata);

/* Changes that are written together. The caller fills the batch, sets `op.done`, calls db_submit() and
 * clears the batch when it is done. */
typedef struct RegistryBatch {
        DbOp op;
        Buffer puts, removals;
        size_t n;
} RegistryBatch;

void registry_batch_init(RegistryBatch *b);
void registry_batch_clear(RegistryBatch *b);
/* 0 or -ENOMEM. */
int registry_put(RegistryBatch *b, uint64_t row, sd_id128_t id, sd_id128_t token, const char *record,
                size_t size) _must_use_;
int registry_remove(RegistryBatch *b, uint64_t row) _must_use_;
