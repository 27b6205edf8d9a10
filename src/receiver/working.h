/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answers "working" for every job that is queued, running or being recorded, before the ack timeout of its
 * sender ends, so that long work is not taken for lost. */

#include "receiver/job.h"

typedef struct Working {
        /* Set by the root. */
        Loop *loop;
        Jobs *jobs;

        Timer timer;
        uint64_t due; /* what it is armed for */
} Working;

int working_init(Working *w);
void working_clear(Working *w);

/* This message has begun the job, or has asked for it again. */
void working_begin(Working *w, Job *job, const MessageFrame *m);
void working_progress(Job *job); /* its handler has reported progress: tells it at once, up to a rate */
