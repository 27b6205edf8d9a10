/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs: messages that are queued, running or being recorded. At most concurrency plus queue of them exist at
 * once. A job ends when its outcome is synced, and only then is it answered (a message in memory only is
 * answered before). Plain text has no identity: nothing is recorded of its jobs.
 *
 * This file knows how a job changes its state; the module intake decides when. */

#include "base/slab.h"
#include "model/policy.h"
#include "receiver/conn.h"
#include "receiver/dedup.h"
#include "receiver/depth.h"
#include "receiver/runs.h"
#include "runtime/child.h"

/* Milliseconds after which a sender that was answered busy may try again. */
#define BUSY_DELAY_MS 100

typedef enum JobState {
        JOB_QUEUED,
        JOB_RUNNING,
        JOB_RECORDING,
} JobState;

typedef struct JobKey {
        sd_id128_t stream;
        uint64_t sequence;
} JobKey;

typedef struct Jobs Jobs;
typedef struct Job Job;
struct Job {
        Jobs *jobs;
        JobState state;
        unsigned priority;
        JobKey key;
        DedupEntry *entry; /* NULL: plain text */
        sd_id128_t message;
        uint32_t attempt; /* the highest that was asked for; written by intake too */
        uint32_t flags;
        uint64_t since; /* CLOCK_BOOTTIME: it is queued, or it runs */
        uint64_t conn;  /* asked last, so it gets the answer */
        sd_id128_t sender;
        const char *sender_name; /* stands behind the payload, in the same block */
        uint8_t *payload;
        size_t payload_size;

        /* Written by handler. */
        struct Handler *handler;
        Child *child;
        Run *run;       /* in the file of runs while the handler runs; NULL: it is not there */
        char *progress; /* the last report, such as "40 copying"; NULL: none */
        unsigned n_odd; /* lines that are no reports */
        bool cut;       /* the reply is longer than what is kept of it */
        char *reason;   /* why it will fail or be rejected, as the handler reports; NULL: not reported */
        char *said;     /* the last line on its standard error; NULL: none */
        uint64_t retry_usec; /* if it fails, the sender waits this long before a retry */

        Run *death; /* its failure is that the receiver died; NULL: it is not; written by intake */
        Outcome outcome;
        bool alone;     /* the receiver died while it ran: nothing else runs beside it */
        bool cancelled; /* killed because its sender cancelled it; written by intake */
        bool abandoned; /* killed because the receiver ends: as if it had not been started */

        /* Written by working. */
        uint64_t told_usec;    /* when progress was last sent */
        uint64_t working_usec; /* the interval of "working" for this sender */
        uint64_t working_due;  /* when it is sent next */

        uint8_t *data; /* reply, or why not */
        size_t data_size;

        /* Written by record. */
        struct Recorder *recorder;
        DedupRecordOp record;
        bool recording;  /* the record is on its way to the disk */
        bool unrecorded; /* the disk has refused it; it is tried again */

        bool answered_early; /* a message in memory only: its sender has the answer before the record is
                                synced */

        Job *prev, *next; /* in one of `queued`, or in `active` */
};

struct Jobs {
        /* Set by the root. */
        Loop *loop;
        const ReceiverConfig *config;
        const Condition *condition;
        Conns *conns;
        DedupIndex *index;
        Runs *runs;
        LoopWork *idle_check; /* deferred when a job ends */

        Depth depth;
        Slab slab;                     /* of jobs and their payloads */
        Job *queued[PRIORITY_MAX + 1]; /* by priority; those of one priority in order of arrival */
        unsigned waiting;              /* bit P is set if queued[P] is not empty */
        Job *active;
        size_t n;                /* all of them */
        size_t n_running;        /* handlers */
        bool one_is_alone;       /* the only one that runs, and nothing may run beside it */
        size_t n_answered_early; /* jobs answered early; they do not count against the capacity */
};

void jobs_clear(Jobs *j); /* after the database is closed; nothing is answered */

/* Appends a job to the queue. It has no identity. NULL when out of memory. */
Job *job_new(Jobs *j, const Sender *sender, const MessageFrame *m);
/* The same, with an entry in the index of outcomes. The message must have been judged DEDUP_RUN. */
Job *job_begin(Jobs *j, const Sender *sender, const MessageFrame *m);

/* From here on the answer goes to this connection. */
void job_asked_by(Job *job, uint64_t conn);
void job_set_answered_early(Job *job, bool answered_early);

/* Answers who asked last: the outcome, "working" with the progress, or busy. */
void job_answer(const Job *job, Outcome outcome);

/* Sets the outcome of a job that is queued or running; it is JOB_RECORDING from here on. Takes over `data`
 * (malloc'ed). */
void job_set_outcome(Job *job, Outcome outcome, uint8_t *data, size_t size);

void job_free(Job *job);
void job_abandon(Job *job); /* frees it as if it had not begun; tells a sender of plain text */

size_t jobs_taken(const Jobs *j); /* places in use */
size_t jobs_free(const Jobs *j);  /* places for new messages */
/* A message that has to run alone is taken even if others would have to wait for it: another receiver would
 * run it beside others. */
bool jobs_may_take_suspect(const Jobs *j);
bool jobs_are_busy(const Jobs *j);     /* no other handler may begin before one has ended */
Job *jobs_first_queued(const Jobs *j); /* the most urgent one; NULL: none */
Job *jobs_start_next(Jobs *j);         /* that one, now JOB_RUNNING; NULL: none may run now */
void jobs_kill(Jobs *j);               /* kills what runs, and abandons it: nothing is recorded of it */
