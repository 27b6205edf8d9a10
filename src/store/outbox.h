/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client's messages on disk: each has a row `message` (what was accepted) and a row `delivery` (how far
 * it got at its receiver). Beside them stand the streams that receivers may still hold records of, and what
 * was last known of receivers.
 *
 * On disk a delivery is queued, bound, cancelling or final; sent and waiting are a matter of one connection
 * and are kept as bound. Attempts and the last error may lag behind by what one crash loses.
 *
 * Operations are for db_submit(). The caller fills the fields and `op.done`; what fields point to must live,
 * unchanged, until then. */

#include <systemd/sd-id128.h>

#include "model/delivery.h"
#include "model/limits.h"
#include "store/db.h"

typedef struct OutboxRecord {
        uint64_t number; /* order of acceptance, from 1 */
        sd_id128_t id;
        char *target;           /* as the sender named it */
        char *queue;            /* the selector as text */
        uint64_t size;          /* bytes of payload */
        uint64_t accepted_usec; /* since the epoch */
        DeliveryState state;
        sd_id128_t receiver; /* null: not bound */
        char receiver_name[NAME_MAX_LENGTH + 1];
        sd_id128_t stream; /* null: bare text */
        uint64_t sequence;
        uint32_t attempts; /* that are over without an ack */
        bool duplicate;    /* may have been started somewhere already */
        char *error;       /* of the last attempt; NULL or "" */
        uint64_t settled_usec;
        void *reply;
        size_t reply_size;
} OutboxRecord;

void outbox_record_clear(OutboxRecord *record); /* frees what it holds and zeroes it */
void outbox_records_free(OutboxRecord *records, size_t n);

int outbox_open(const char *path, Db **ret, Error *error);

/* Before db_start(), in this order: who this client is (made at the first start), what is bound or being
 * cancelled, how much is queued for whom, which streams receivers may remember, the receivers last known. A
 * negative return ends the walk and is returned. */
typedef struct OutboxLoad {
        void (*client)(sd_id128_t id, uint64_t last_number, uint64_t n_open, void *userdata);
        int (*bound)(OutboxRecord *record, void *userdata); /* may take over what the record holds */
        int (*queued)(const char *queue, uint64_t n, void *userdata);
        int (*stream)(sd_id128_t stream, sd_id128_t receiver, void *userdata);
        int (*receiver)(sd_id128_t id, const char *record, void *userdata);
        void *userdata;
} OutboxLoad;
int outbox_load(Db *db, const OutboxLoad *load);

/* Accepts a message: all of `record` but what an attempt would fill. A bound one brings its stream along. */
typedef struct OutboxInsertOp {
        DbOp op;
        OutboxRecord record;
        const void *payload;
} OutboxInsertOp;
void outbox_insert_op_init(OutboxInsertOp *o);

/* Writes how far a delivery got: state, binding, attempts, error, reply. An acked or cancelled one loses its
 * payload. */
typedef struct OutboxSaveOp {
        DbOp op;
        OutboxRecord record;
} OutboxSaveOp;
void outbox_save_op_init(OutboxSaveOp *o);

/* Keeps the `keep` newest acked and the `keep` newest cancelled messages. */
typedef struct OutboxTrimOp {
        DbOp op;
        unsigned keep;
} OutboxTrimOp;
void outbox_trim_op_init(OutboxTrimOp *o);

/* A receiver has forgotten the stream: so do we. */
typedef struct OutboxStreamOp {
        DbOp op;
        sd_id128_t stream, receiver;
} OutboxStreamOp;
void outbox_stream_op_init(OutboxStreamOp *o);

/* What is known of a receiver, as text that this floor does not look into; NULL removes it. */
typedef struct OutboxReceiverOp {
        DbOp op;
        sd_id128_t id;
        const char *record;
} OutboxReceiverOp;
void outbox_receiver_op_init(OutboxReceiverOp *o);

/* -ENOENT when the message is gone or its payload is. */
typedef struct OutboxPayloadOp {
        DbOp op;
        uint64_t number;
        void *payload; /* result, malloc'ed */
        size_t size;
} OutboxPayloadOp;
void outbox_payload_op_init(OutboxPayloadOp *o);

typedef enum OutboxQuery {
        OUTBOX_QUEUE,  /* queued ones of `queue` behind `number`, oldest first */
        OUTBOX_ID,     /* ids from `first` to `last` */
        OUTBOX_NEWEST, /* in one of the states of `states` (bits), before `number`, newest first */
} OutboxQuery;

typedef struct OutboxFindOp {
        DbOp op;
        OutboxQuery query;
        const char *queue;
        uint64_t number;
        sd_id128_t first, last;
        unsigned states;
        size_t limit;
        OutboxRecord *records; /* result: outbox_records_free() */
        size_t n_records;
} OutboxFindOp;
void outbox_find_op_init(OutboxFindOp *o, OutboxQuery query, size_t limit);

/* Reads one record from a row of OUTBOX_COLUMNS. For outbox.c and outbox-load.c. */
#define OUTBOX_COLUMNS                                                                                      \
        "m.number, m.id, m.target, d.queue, m.size, m.accepted, d.state, d.receiver, d.receiver_name, "     \
        "d.stream, d.sequence, d.attempts, d.duplicate, d.error, d.settled, d.reply"                        \
        " FROM delivery d JOIN message m ON m.number = d.message"
int outbox_read_record(sqlite3_stmt *s, OutboxRecord *ret);
