/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client's messages on disk: each has a row `message` (what was accepted) and rows `delivery` (how far
 * it got): member 0 alone where it is for one receiver; where it is for several, member 0 is the whole and
 * each further member one receiver. Rows `attempt` tell of tries that did not end well. Beside them stand
 * the streams that receivers may still hold records of, and what was last known of receivers.
 *
 * On disk a delivery is delayed, queued, bound, gathering, cancelling, giving up or final; sent and waiting
 * are a matter of one connection and are kept as bound. Attempts and the last error may lag behind by what
 * one crash loses.
 *
 * Operations are for db_submit(). The caller fills the fields and `op.done`; what fields point to must live,
 * unchanged, until then. */

#include <systemd/sd-id128.h>

#include "model/delivery.h"
#include "model/limits.h"
#include "model/policy.h"
#include "store/db.h"

typedef struct OutboxRecord {
        uint64_t number; /* order of acceptance, from 1 */
        uint32_t member; /* 0: the only one, or the whole */
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
        uint32_t attempts;  /* that are over without an ack */
        bool duplicate;     /* may have been started somewhere already */
        char *error;        /* of the last attempt; NULL or "" */
        uint64_t sent_usec; /* since the epoch: when it was last written to a receiver */
        uint64_t settled_usec;
        uint64_t wake_usec; /* since the epoch: start or deadline, whichever is next; 0: neither */
        Policy policy;
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
        void (*client)(sd_id128_t id, uint64_t last_number, uint64_t n_open, uint64_t n_dead,
                        void *userdata);
        int (*bound)(OutboxRecord *record, void *userdata); /* may take over what the record holds */
        int (*queued)(const char *queue, uint64_t n, void *userdata);
        int (*whole)(OutboxRecord *record, unsigned n_acked, unsigned n_failed, unsigned n_members,
                        void *userdata); /* of several, and open; may take over too */
        int (*stream)(sd_id128_t stream, sd_id128_t receiver, void *userdata);
        int (*receiver)(sd_id128_t id, const char *record, bool departed, void *userdata);
        void *userdata;
} OutboxLoad;
int outbox_load(Db *db, const OutboxLoad *load);

/* Accepts a message: all of `record` but what an attempt would fill. A bound one brings its stream along.
 * -EEXIST when a message with that key of its sender is there: `existing` is its id, nothing is written. */
typedef struct OutboxInsertOp {
        DbOp op;
        OutboxRecord record;
        const void *payload;
        const char *key;             /* the sender's own name for it ("idempotency key"); NULL: none */
        const OutboxRecord *members; /* of a whole: number and id are the whole's */
        size_t n_members;
        sd_id128_t existing; /* result */
} OutboxInsertOp;
void outbox_insert_op_init(OutboxInsertOp *o);

/* One try that is over. */
typedef struct OutboxAttempt OutboxAttempt;
struct OutboxAttempt {
        uint32_t member, attempt;
        uint64_t sent_usec, ended_usec; /* since the epoch */
        char receiver_name[NAME_MAX_LENGTH + 1];
        char outcome[16]; /* failed, no-ack, busy, disconnected … */
        char *detail;
        OutboxAttempt *next;
};
OutboxAttempt *outbox_attempts_free(OutboxAttempt *first);

/* Writes how far a delivery got: state, binding, attempts, error, reply. A message that is acked or
 * cancelled, and all of its members at an end, loses its payload. */
typedef struct OutboxSaveOp {
        DbOp op;
        OutboxRecord record;
        OutboxAttempt *attempts; /* to be added, oldest first; the newest ATTEMPTS_KEPT are kept */
} OutboxSaveOp;
void outbox_save_op_init(OutboxSaveOp *o);

/* The tries of a message that are kept, oldest first. */
typedef struct OutboxAttemptsOp {
        DbOp op;
        uint64_t number;
        OutboxAttempt *attempts; /* result: outbox_attempts_free() */
} OutboxAttemptsOp;
void outbox_attempts_op_init(OutboxAttemptsOp *o);

/* Removes a message that is at its end, with all that belongs to it. -EBUSY when it is not. */
typedef struct OutboxPurgeOp {
        DbOp op;
        uint64_t number;
} OutboxPurgeOp;
void outbox_purge_op_init(OutboxPurgeOp *o);

/* Keeps the `keep` newest acked and the `keep` newest cancelled messages, and those with a key of their
 * sender that came to their end after `keys_since_usec` and are among the newest KEYS_KEPT_MAX of all. */
typedef struct OutboxTrimOp {
        DbOp op;
        unsigned keep;
        uint64_t keys_since_usec;
} OutboxTrimOp;
void outbox_trim_op_init(OutboxTrimOp *o);

/* A receiver that joined later becomes a member of a message to all: `member` is its record, whose number of
 * a member is filled in. -EEXIST when it is one already. */
typedef struct OutboxJoinOp {
        DbOp op;
        OutboxRecord member;
} OutboxJoinOp;
void outbox_join_op_init(OutboxJoinOp *o);

/* A receiver may remember the stream from now on (`keep`); else it has forgotten it, so do we. */
typedef struct OutboxStreamOp {
        DbOp op;
        bool keep;
        sd_id128_t stream, receiver;
        void *userdata; /* the caller's */
} OutboxStreamOp;
void outbox_stream_op_init(OutboxStreamOp *o);

/* What is known of a receiver, as text that this floor does not look into; NULL removes it,
 * and its streams. */
typedef struct OutboxReceiverOp {
        DbOp op;
        sd_id128_t id;
        const char *record;
        bool departed; /* it has left, and is kept for what waits for it */
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
        OUTBOX_QUEUE,   /* queued ones of `queue` behind (`priority`, `number`), the most urgent and oldest
                           first */
        OUTBOX_WAKE,    /* that are to be looked at by `until_usec`, behind (`from_usec`, `number`) */
        OUTBOX_MEMBERS, /* of message `number` */
        OUTBOX_ID,      /* ids from `first` to `last` */
        OUTBOX_NEWEST,  /* in one of the states of `states` (bits), before `number`, newest first */
} OutboxQuery;

typedef struct OutboxFindOp {
        DbOp op;
        OutboxQuery query;
        const char *queue;
        uint64_t number;
        unsigned priority;
        uint64_t from_usec, until_usec;
        sd_id128_t first, last;
        unsigned states;
        size_t limit;
        uint64_t next_usec;    /* result of OUTBOX_WAKE: when to look again; USEC_INFINITY: no need */
        OutboxRecord *records; /* result: outbox_records_free() */
        size_t n_records;
} OutboxFindOp;
void outbox_find_op_init(OutboxFindOp *o, OutboxQuery query, size_t limit);

/* Reads one record from a row of OUTBOX_COLUMNS. For outbox*.c. */
#define OUTBOX_FIELDS_WITH(reply)                                                                           \
        "m.number, m.id, m.target, d.queue, m.size, m.accepted, d.state, d.receiver, d.receiver_name, "     \
        "d.stream, d.sequence, d.attempts, d.duplicate, d.error, d.settled, " reply ", d.member, d.sent, "  \
        "d.wake, m.ack_timeout, m.backoff, m.backoff_max, m.max_attempts, m.start, m.deadline, d.priority"
#define OUTBOX_FIELDS  OUTBOX_FIELDS_WITH("d.reply")
#define OUTBOX_TABLES  " FROM delivery d JOIN message m ON m.number = d.message"
#define OUTBOX_COLUMNS OUTBOX_FIELDS OUTBOX_TABLES
int outbox_read_record(sqlite3_stmt *s, OutboxRecord *ret);
