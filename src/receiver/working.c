/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/working.h"

#include <utlist.h>

/* Progress is passed on at most this often. */
#define PROGRESS_INTERVAL_USEC (100 * USEC_PER_MSEC)
/* "Working" is sent at most this often, however short the ack timeout is. */
#define WORKING_SHORTEST_USEC (50 * USEC_PER_MSEC)

static void arm(Working *w, uint64_t usec)
{
        if (timer_is_armed(&w->timer) && w->due <= usec)
                return;
        w->due = usec;
        (void) timer_arm_at(&w->timer, usec);
}

/* A third of the ack timeout, if the sender has told us that it is short. */
static uint64_t find_interval(const MessageFrame *m)
{
        uint32_t timeout_ms;

        if (!frame_find_u32(m->attributes, ATTRIBUTE_ACK_TIMEOUT, &timeout_ms))
                return WORKING_INTERVAL_USEC;
        return MIN(MAX(timeout_ms * USEC_PER_MSEC / 3, WORKING_SHORTEST_USEC), WORKING_INTERVAL_USEC);
}

void working_begin(Working *w, Job *job, const MessageFrame *m)
{
        job->working_usec = find_interval(m);
        job->working_due = usec_add(loop_now(w->loop, CLOCK_BOOTTIME), job->working_usec);
        arm(w, job->working_due);
}

void working_progress(Job *job)
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        if (now - job->told_usec < PROGRESS_INTERVAL_USEC)
                return;
        job->told_usec = now;
        job_answer(job, OUTCOME_WORKING);
}

/* Answers the jobs that are due, and those that are due soon: one walk over all jobs then serves more of
 * them. Returns when the first of the others is due. */
static uint64_t tell(Job *first, uint64_t now)
{
        uint64_t next = USEC_INFINITY;
        Job *job;

        DL_FOREACH(first, job) {
                if (job->working_due <= now + job->working_usec / 4) {
                        job->working_due = usec_add(now, job->working_usec);
                        job_answer(job, OUTCOME_WORKING);
                }
                next = MIN(next, job->working_due);
        }
        return next;
}

static void on_timer(void *userdata)
{
        Working *w = userdata;
        uint64_t now = now_usec(CLOCK_BOOTTIME);
        uint64_t next = tell(w->jobs->active, now);

        for (size_t i = 0; i < ELEMENTSOF(w->jobs->queued); i++) {
                const uint64_t queued = tell(w->jobs->queued[i], now);
                next = MIN(next, queued);
        }
        if (w->jobs->n > 0)
                arm(w, next);
}

int working_init(Working *w)
{
        return timer_init(&w->timer, w->loop, "working", on_timer, w);
}

void working_clear(Working *w)
{
        timer_clear(&w->timer);
}
