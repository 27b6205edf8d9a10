/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages on their way: queued, running, being recorded. A message that the memory of outcomes does not
 * know becomes a job; at most concurrency plus queue of them are there at once. A job ends when its outcome
 * is synced, and only then is it answered. Bare text has no identity: its jobs record nothing. */

#include "base/slab.h"
#include "receiver/conn.h"
#include "receiver/dedup.h"
#include "runtime/child.h"

typedef enum JobState {
        JOB_QUEUED,
        JOB_RUNNING,
        JOB_RECORDING,
} JobState;

typedef struct JobKey {
        sd_id128_t stream;
        uint64_t sequence;
} JobKey;

typedef struct Job Job;
struct Job {
        Receiver *receiver;
        JobState state;
        JobKey key;
        DedupEntry *entry; /* NULL: bare text */
        sd_id128_t message;
        uint32_t attempt; /* the highest that was asked for */
        uint32_t flags;
        uint64_t conn; /* who asked last */
        sd_id128_t sender;
        const char *sender_name; /* behind the payload, in one block with it */
        uint8_t *payload;
        size_t payload_size;

        Child *child;
        bool cancelled; /* killed since its sender wants it so */
        bool abandoned; /* killed since we end: as if it had not been started */

        char *progress;        /* "40 copying", as the handler said last; NULL: nothing */
        char *reason;          /* why it will fail or be rejected, as the handler said */
        uint64_t retry_usec;   /* a failed one is not to come again before */
        uint64_t told_usec;    /* when progress was told last */
        uint64_t working_usec; /* its sender wants to hear so often that it is being worked on */
        uint64_t working_due;  /* the next time */

        Outcome outcome;
        uint8_t *data; /* reply, or why not */
        size_t data_size;
        DedupRecordOp record;
        bool recording;  /* the record is on its way to the disk */
        bool told;       /* of a message in memory only: its sender has the answer already */
        bool unrecorded; /* the disk has refused it; it is tried again */

        Job *prev, *next; /* in `queued` or `active` */
};

typedef struct Jobs {
        Slab slab; /* of jobs and their payloads */
        Job *queued, *active;
        size_t n;         /* all of them */
        size_t n_running; /* handlers */
        bool cannot_run;  /* the last that was tried could not be begun */
        size_t n_told;    /* whose record is on its way, and whose sender has its answer already */
        size_t n_replies; /* recorded replies being fetched */
        Timer working;
        uint64_t working_at; /* what it is armed for */
        Timer record_again;
} Jobs;

int jobs_init(Receiver *r);
void jobs_clear(Receiver *r); /* after the database is closed */

/* Frames. A negative return breaks the protocol: the connection ends with `error`. */
int job_message(Receiver *r, const Sender *sender, const MessageFrame *m, Error *error);
int job_cancel(Receiver *r, const Sender *sender, const CancelFrame *f, Error *error);
bool job_text(Receiver *r, const Sender *sender, Bytes text); /* false: no room */

void job_set_told(Job *job, bool told);

/* From the handler: it ended. Takes the data (malloc'ed). The caller then calls jobs_run_next(). */
void job_finish(Job *job, Outcome outcome, uint8_t *data, size_t size);
/* For receiver-record: answers who asked last; ends the job. */
void job_answer(const Job *job, Outcome outcome);
void job_free(Job *job);

void job_abandon(Job *job);
void jobs_run_next(Receiver *r);

void jobs_drop_queued(Receiver *r); /* answered busy: not started, ask elsewhere */
void jobs_kill(Receiver *r);        /* what runs is killed and nothing is recorded of it */
bool jobs_are_idle(const Receiver *r);
