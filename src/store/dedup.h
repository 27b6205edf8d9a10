/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a receiver keeps on disk: who it is, and the outcome of every message that its sender has not settled
 * yet. The receiver holds an index of it in memory, made at start by dedup_load(); replies stay here and are
 * fetched when a duplicate asks for one.
 *
 * Operations are for db_submit(). The caller fills the fields and `op.done`; what fields point to must live
 * until then. */

#include <systemd/sd-id128.h>

#include "model/limits.h"
#include "model/outcome.h"
#include "model/sequence-set.h"
#include "store/db.h"

/* As db_open(). */
int dedup_open(const char *path, uint64_t lock_usec, Db **ret, Error *error);

/* Who the receiver is to discovery. `lock_*` and `boot` tell whether `instance` was started from this very
 * directory: a copy of it has another inode, and then nothing is claimed about the old instance. */
typedef struct DedupIdentity {
        sd_id128_t id;
        sd_id128_t instance;
        sd_id128_t boot;
        uint64_t lock_device, lock_inode;
        char token[65];
} DedupIdentity;

typedef struct DedupRecord {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt;
        Outcome outcome;
} DedupRecord;

/* Before db_start(). Calls `settled` once for each stream that is known (the set is only lent), then
 * `record` for each outcome; a negative return ends the walk and is returned. */
typedef struct DedupLoad {
        int (*settled)(sd_id128_t stream, const SequenceSet *set, void *userdata);
        int (*record)(const DedupRecord *record, void *userdata);
        void *userdata;
} DedupLoad;
int dedup_load(Db *db, const DedupLoad *load);

/* Before db_start(). 0, or -ENOENT when the receiver has never registered. */
int dedup_load_identity(Db *db, DedupIdentity *ret);

typedef struct DedupIdentityOp {
        DbOp op;
        DedupIdentity identity;
} DedupIdentityOp;
void dedup_identity_op_init(DedupIdentityOp *o); /* replaces the identity */

/* Records an outcome. A failed one gives way to that of a higher attempt of the same message; any other
 * stays, whatever comes: a final outcome is never replaced. */
typedef struct DedupRecordOp {
        DbOp op;
        DedupRecord record;
        const void *reply; /* at most REPLY_MAX bytes */
        size_t reply_size;
} DedupRecordOp;
void dedup_record_op_init(DedupRecordOp *o);

/* Removes the records that are settled and keeps the set itself. */
typedef struct DedupPruneOp {
        DbOp op;
        sd_id128_t stream;
        const SequenceSet *settled;
} DedupPruneOp;
void dedup_prune_op_init(DedupPruneOp *o);

/* Removes all that is known of a stream. */
typedef struct DedupForgetOp {
        DbOp op;
        sd_id128_t stream;
} DedupForgetOp;
void dedup_forget_op_init(DedupForgetOp *o);

/* Fetches the reply of a record; -ENOENT when there is no such record any more. */
typedef struct DedupReplyOp {
        DbOp op;
        sd_id128_t stream;
        uint64_t sequence;
        void *reply; /* result, malloc'ed; the caller frees it in `done` */
        size_t reply_size;
} DedupReplyOp;
void dedup_reply_op_init(DedupReplyOp *o);

/* Removes everything, the identity too: for a receiver that must become a new one. */
typedef struct DedupResetOp {
        DbOp op;
} DedupResetOp;
void dedup_reset_op_init(DedupResetOp *o);
