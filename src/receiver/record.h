/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records the outcomes of jobs. A job is answered when its record is synced. While the disk refuses the
 * record, it is tried again, and the job stays in progress: its handler has run and must not run again. */

#include "receiver/job.h"

typedef struct Recorder {
        /* Set by the root before recorder_init(). */
        Loop *loop;
        Db *db;
        Jobs *jobs;
        DedupIndex *index;
        const ReceiverInfo *info;
        /* A job of the stream was recorded, answered and freed. `wanted`: false if it was settled meanwhile.
         */
        void (*done)(sd_id128_t stream, bool wanted, void *userdata);
        void *userdata;

        Timer again;
} Recorder;

int recorder_init(Recorder *r);
void recorder_clear(Recorder *r);

void record_outcome(Recorder *r, Job *job);
void record_log(const Recorder *r, const Job *job); /* the outcome, to the journal */
