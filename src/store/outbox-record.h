/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A delivery as the outbox keeps it, and the attempts that did not end well. */

#include <systemd/sd-id128.h>

#include "model/delivery.h"
#include "model/limits.h"
#include "model/policy.h"

typedef struct OutboxRecord {
        uint64_t number; /* order of acceptance, from 1 */
        uint32_t member; /* 0: the message itself; else one receiver of a message to several */
        sd_id128_t id;
        char *target;           /* as the sender named it */
        char *queue;            /* the selector as text */
        uint64_t size;          /* bytes of payload */
        uint64_t accepted_usec; /* since the epoch */
        DeliveryState state;
        sd_id128_t receiver; /* null: not bound */
        char receiver_name[NAME_MAX_LENGTH + 1];
        sd_id128_t stream; /* null: plain text */
        uint64_t sequence;
        uint32_t attempts;  /* that ended without an ack */
        bool duplicate;     /* a receiver may have started it already */
        bool quiet;         /* part of a bulk: what goes well is not told */
        char *error;        /* of the last attempt; NULL or "" */
        uint64_t sent_usec; /* since the epoch: when it was last written to a receiver */
        uint64_t settled_usec;
        uint64_t wake_usec; /* since the epoch: start or deadline, whichever is next; 0: neither */
        Policy policy;
        void *reply;
        size_t reply_size;
        bool reply_cut; /* it was longer */
} OutboxRecord;

/* The flags as one number, which is what the disk has. */
#define OUTBOX_DUPLICATE 1u
#define OUTBOX_QUIET     2u
#define OUTBOX_REPLY_CUT 4u

static inline unsigned outbox_record_flags(const OutboxRecord *r)
{
        return (r->duplicate ? OUTBOX_DUPLICATE : 0) | (r->quiet ? OUTBOX_QUIET : 0) |
               (r->reply_cut ? OUTBOX_REPLY_CUT : 0);
}

static inline void outbox_record_set_flags(OutboxRecord *r, unsigned flags)
{
        r->duplicate = flags & OUTBOX_DUPLICATE;
        r->quiet = flags & OUTBOX_QUIET;
        r->reply_cut = flags & OUTBOX_REPLY_CUT;
}

void outbox_record_clear(OutboxRecord *record); /* frees what it holds and zeroes it */
void outbox_records_free(OutboxRecord *records, size_t n);

/* One attempt that is over. */
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
