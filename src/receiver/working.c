/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/working.h"

#include <utlist.h>

#include "receiver/receiver.h"

#define PROGRESS_INTERVAL_USEC (100 * USEC_PER_MSEC)
/* However short the ack timeout. */
#define WORKING_SHORTEST_USEC (50 * USEC_PER_MSEC)

static void arm(Receiver *r, uint64_t usec)
{
        if (timer_is_armed(&r->jobs.working) && r->jobs.working_at <= usec)
                return;
        r->jobs.working_at = usec;
        (void) timer_arm_at(&r->jobs.working, usec);
}

/* Thrice within the ack timeout, where the sender says that it is a short one. */
static uint64_t find_interval(const MessageFrame *m)
{
        Bytes attributes = m->attributes, value;
        uint32_t timeout_ms;
        uint8_t tag;

        while (frame_next_attribute(&attributes, &tag, &value))
                if (tag == ATTRIBUTE_ACK_TIMEOUT && frame_attribute_u32(value, &timeout_ms))
                        return MIN(MAX(timeout_ms * USEC_PER_MSEC / 3, WORKING_SHORTEST_USEC),
                                        WORKING_INTERVAL_USEC);
        return WORKING_INTERVAL_USEC;
}

void working_begin(Job *job, const MessageFrame *m)
{
        job->working_usec = find_interval(m);
        job->working_due = usec_add(loop_now(job->receiver->loop, CLOCK_BOOTTIME), job->working_usec);
        arm(job->receiver, job->working_due);
}

/* A handler that says so a thousand times a second is heard ten times. */
void working_progress(Job *job)
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        if (now - job->told_usec < PROGRESS_INTERVAL_USEC)
                return;
        job->told_usec = now;
        job_answer(job, OUTCOME_WORKING);
}

/* Those whose time comes soon are told with the others, so that a walk over all is worth its while. Returns
 * when the first of the rest is due. */
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

void working_on_timer(void *userdata)
{
        Receiver *r = userdata;
        uint64_t now = now_usec(CLOCK_BOOTTIME);
        uint64_t active = tell(r->jobs.active, now), queued = tell(r->jobs.queued, now);

        if (r->jobs.n > 0)
                arm(r, MIN(active, queued));
}
