/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client's messages on disk. A message has a row `message` (what was accepted) and rows `delivery` (how
 * far it got). A message to one receiver has member 0 only. A message to several has member 0 for itself and
 * one further member for each receiver. Rows `attempt` are the attempts that did not end well. Further
 * tables hold the streams that receivers may still remember, and what was last known of receivers.
 *
 * On disk a delivery is delayed, queued, bound, gathering, cancelling, giving up or final. Sent and backoff
 * belong to one connection and are stored as bound. A crash may lose the newest attempts and the last error.
 *
 * Operations are for db_submit(). The caller fills the fields and `op.done`; what the fields point to must
 * stay unchanged until `done` is called. */

#include "store/db.h"
#include "store/outbox-record.h"

/* If it lacks records (db_damage()), everything that is open in it is a possible duplicate from then on. */
int outbox_open(const char *path, Db **ret, Error *error);

/* Where the outbox is. Null and 0: unknown. */
typedef struct OutboxPlace {
        sd_id128_t machine, boot;
        uint64_t device, inode; /* of the lock */
} OutboxPlace;

/* Before outbox_load(). If the outbox was written at another place (another machine, or another directory
 * since this boot), it is a copy: it gets a new client id, forgets the streams, which are the original's,
 * and what is open there is open without a receiver, as a possible duplicate. 0 or negative errno. */
int outbox_take_place(Db *db, const OutboxPlace *here, bool *ret_copied);

/* Before db_start(). Calls, in this order: who this client is (chosen at the first start), what is bound or
 * being cancelled, how many messages each queue has, open messages to several, streams that receivers may
 * remember, the receivers last known. A negative return ends the walk and is returned. */
typedef struct OutboxLoad {
        void (*client)(sd_id128_t id, uint64_t last_number, uint64_t n_open, uint64_t n_dead,
                        void *userdata);
        int (*bound)(OutboxRecord *record, void *userdata); /* may take over what it holds */
        int (*queued)(const char *queue, uint64_t n, void *userdata);
        int (*fanout)(OutboxRecord *record, unsigned n_acked, unsigned n_failed, unsigned n_members,
                        void *userdata); /* a message to several; may take over too */
        int (*stream)(sd_id128_t stream, sd_id128_t receiver, void *userdata);
        int (*receiver)(sd_id128_t id, const char *record, bool departed, void *userdata);
        void *userdata;
} OutboxLoad;
int outbox_load(Db *db, const OutboxLoad *load);

/* Accepts a message. Writes all of `record` except the fields that an attempt fills, and the stream if the
 * message is bound. -EEXIST: a message with that key is there already; `existing` is its id, and nothing is
 * written. */
typedef struct OutboxInsertOp {
        DbOp op;
        OutboxRecord record;
        const void *payload;
        const char *key;             /* idempotency key; NULL: none */
        const OutboxRecord *members; /* of a message to several; with its number and id */
        size_t n_members;
        sd_id128_t existing; /* result */
} OutboxInsertOp;
void outbox_insert_op_init(OutboxInsertOp *o);

/* Writes how far a delivery got: state, binding, attempts, error, reply. The payload is deleted when the
 * message is acked or cancelled and every member is at its end. */
typedef struct OutboxSaveOp {
        DbOp op;
        OutboxRecord record;
        OutboxAttempt *attempts; /* to be added, oldest first; the newest ATTEMPTS_KEPT stay */
} OutboxSaveOp;
void outbox_save_op_init(OutboxSaveOp *o);

/* Reads the attempts of a message, oldest first. */
typedef struct OutboxAttemptsOp {
        DbOp op;
        uint64_t number;
        OutboxAttempt *attempts; /* result: outbox_attempts_free() */
} OutboxAttemptsOp;
void outbox_attempts_op_init(OutboxAttemptsOp *o);

/* Removes a message with all that belongs to it. -EBUSY: it is not at its end. */
typedef struct OutboxPurgeOp {
        DbOp op;
        uint64_t number;
} OutboxPurgeOp;
void outbox_purge_op_init(OutboxPurgeOp *o);

/* Removes old messages. It keeps the `keep` newest acked and the `keep` newest cancelled ones, and those
 * with an idempotency key that ended after `keys_since_usec` and are among the newest KEYS_KEPT_MAX of all.
 */
typedef struct OutboxTrimOp {
        DbOp op;
        unsigned keep;
        uint64_t keys_since_usec;
        /* At once, and to the last one. Otherwise only when so many have come that the search is worth it.
         */
        bool thorough;
        bool more; /* result: one operation removes so many only; there are more */
} OutboxTrimOp;
void outbox_trim_op_init(OutboxTrimOp *o);

/* A receiver that joined later becomes a member of a message to all. `member` is its record; the operation
 * fills in the member's number. -EEXIST: it is a member already. */
typedef struct OutboxJoinOp {
        DbOp op;
        OutboxRecord member;
} OutboxJoinOp;
void outbox_join_op_init(OutboxJoinOp *o);

/* `keep`: a receiver may remember the stream from now on. Otherwise it has forgotten the stream. */
typedef struct OutboxStreamOp {
        DbOp op;
        bool keep;
        sd_id128_t stream, receiver;
        void *userdata; /* the caller's */
} OutboxStreamOp;
void outbox_stream_op_init(OutboxStreamOp *o);

/* What is known of a receiver, as text that this floor does not parse. NULL removes the receiver and its
 * streams. */
typedef struct OutboxReceiverOp {
        DbOp op;
        sd_id128_t id;
        const char *record;
        bool departed; /* it has left; it is kept because something waits for it */
} OutboxReceiverOp;
void outbox_receiver_op_init(OutboxReceiverOp *o);

/* Reads a payload. -ENOENT: the message is gone, or its payload is. */
typedef struct OutboxPayloadOp {
        DbOp op;
        uint64_t number;
        void *payload; /* result, malloc'ed */
        size_t size;
} OutboxPayloadOp;
void outbox_payload_op_init(OutboxPayloadOp *o);

typedef enum OutboxQuery {
        OUTBOX_QUEUE,   /* queued in `queue` after (`priority`, `number`), most urgent first, then oldest */
        OUTBOX_WAKE,    /* whose start or deadline is due by `until_usec`, after (`from_usec`, `number`) */
        OUTBOX_MEMBERS, /* members of message `number`, after `member`, in their order */
        OUTBOX_ID,      /* ids from `first` to `last` */
        OUTBOX_NEWEST,  /* in one of the states of `states` (bits), before `number`, newest first */
} OutboxQuery;

typedef struct OutboxFindOp {
        DbOp op;
        OutboxQuery query;
        const char *queue;
        uint64_t number, member;
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
