/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a receiver keeps on disk: who it is, and the outcome of every message that its sender has not settled
 * yet. The receiver has an index of that in memory, which dedup_load() fills at start. Replies stay on disk
 * and are read when a duplicate asks for one.
 *
 * Operations are for db_submit(). The caller fills the fields and `op.done`; what the fields point to must
 * stay unchanged until `done` is called. */

#include "model/limits.h"
#include "store/db.h"
#include "store/dedup-tables.h"

/* As db_open(). */
int dedup_open(const char *path, uint64_t lock_usec, Db **ret, Error *error);

/* Who the receiver is to discovery. `lock_*` and `boot` show whether `instance` was started from this very
 * directory. A copy of the directory has another inode; the receiver then claims nothing about the old
 * instance. */
typedef struct DedupIdentity {
        sd_id128_t id;
        sd_id128_t instance;
        sd_id128_t boot;
        uint64_t lock_device, lock_inode;
        char token[65];
} DedupIdentity;

/* Before db_start(). Calls `settled` once for each known stream (the set is lent for the call), then
 * `record` for each outcome. A negative return ends the walk and is returned. */
typedef struct DedupLoad {
        int (*settled)(sd_id128_t stream, const SequenceSet *set, void *userdata);
        int (*record)(const DedupRecord *record, void *userdata);
        void *userdata;
} DedupLoad;
int dedup_load(Db *db, const DedupLoad *load);

/* Before db_start(). -ENOENT: the receiver has never registered. */
int dedup_load_identity(Db *db, DedupIdentity *ret);

typedef struct DedupIdentityOp {
        DbOp op;
        DedupIdentity identity;
} DedupIdentityOp;
void dedup_identity_op_init(DedupIdentityOp *o); /* replaces the identity */

/* Records an outcome. A higher attempt of the same message replaces a failed outcome. Nothing replaces any
 * other outcome. */
typedef struct DedupRecordOp {
        DbOp op;
        DedupRecord record;
        const void *reply; /* at most REPLY_MAX bytes */
        size_t reply_size;
} DedupRecordOp;
void dedup_record_op_init(DedupRecordOp *o);

/* Stores the set of what is settled, and removes the records in it. */
typedef struct DedupPruneOp {
        DbOp op;
        sd_id128_t stream;
        const SequenceSet *settled;
} DedupPruneOp;
void dedup_prune_op_init(DedupPruneOp *o);

/* Removes everything about a stream. */
typedef struct DedupForgetOp {
        DbOp op;
        sd_id128_t stream;
} DedupForgetOp;
void dedup_forget_op_init(DedupForgetOp *o);

/* Reads the reply of a record. -ENOENT: there is no such record any more. */
typedef struct DedupReplyOp {
        DbOp op;
        sd_id128_t stream;
        uint64_t sequence;
        void *reply; /* result, malloc'ed; the caller frees it in `done` */
        size_t reply_size;
        bool cut; /* result */
} DedupReplyOp;
void dedup_reply_op_init(DedupReplyOp *o);

/* Removes everything, even the identity: the receiver becomes a new one. */
typedef struct DedupResetOp {
        DbOp op;
} DedupResetOp;
void dedup_reset_op_init(DedupResetOp *o);
