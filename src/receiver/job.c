/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/job.h"

#include <limits.h>
#include <utlist.h>

#include "base/str-util.h"

static void release_memory(Job *job)
{
        Slab *slab = &job->jobs->slab;

        slab_block_free(slab, job->payload);
        slab_free(slab, job, sizeof *job);
}

static uint64_t usec_since(const Jobs *j, const Job *job)
{
        const uint64_t now = loop_now(j->loop, CLOCK_BOOTTIME);

        return now > job->since ? now - job->since : 0;
}

/* `ended`: with an outcome, so its time tells how long handlers take. */
static void stop_running(Job *job, bool ended)
{
        Jobs *j = job->jobs;
        const unsigned capacity = depth_capacity(&j->depth, j->config);

        j->n_running--;
        j->one_is_alone = false;
        if (ended)
                depth_ended(&j->depth, usec_since(j, job));
        if (depth_capacity(&j->depth, j->config) != capacity)
                conns_share(j->conns);
}

static void enqueue(Job *job)
{
        Jobs *j = job->jobs;

        DL_APPEND(j->queued[job->priority], job);
        j->waiting |= 1u << job->priority;
}

static void dequeue(Job *job)
{
        Jobs *j = job->jobs;

        DL_DELETE(j->queued[job->priority], job);
        if (!j->queued[job->priority])
                j->waiting &= ~(1u << job->priority);
}

void job_free(Job *job)
{
        Jobs *j = job->jobs;

        if (job->state == JOB_QUEUED)
                dequeue(job);
        else
                DL_DELETE(j->active, job);
        if (job->state == JOB_RUNNING)
                stop_running(job, false);
        job_set_answered_early(job, false);
        j->n--;
        child_free(job->child);
        free(job->data);
        free(job->progress);
        free(job->reason);
        free(job->said);
        release_memory(job);
        loop_defer(j->loop, j->idle_check);
}

static unsigned find_priority(const MessageFrame *m)
{
        uint32_t priority;

        return frame_find_u32(m->attributes, ATTRIBUTE_PRIORITY, &priority) ? MIN(priority, PRIORITY_MAX)
                                                                            : PRIORITY_DEFAULT;
}

Job *job_new(Jobs *j, const Sender *sender, const MessageFrame *m)
{
        const size_t name_size = strlen(sender->name) + 1;
        Job *job = slab_zero(&j->slab, sizeof *job);

        if (!job)
                return NULL;
        job->jobs = j;
        job->key = (JobKey){m->stream, m->sequence};
        job->message = m->message;
        job->since = loop_now(j->loop, CLOCK_BOOTTIME);
        job->attempt = m->attempt;
        job->flags = m->flags;
        job->conn = sender->conn;
        job->sender = sender->id;
        job->payload = slab_block_new(&j->slab, m->payload.size + name_size);
        job->payload_size = m->payload.size;
        if (!job->payload) {
                release_memory(job);
                return NULL;
        }
        if (m->payload.size > 0)
                memcpy(job->payload, m->payload.data, m->payload.size);
        job->sender_name = memcpy(job->payload + m->payload.size, sender->name, name_size);
        j->n++;
        job->priority = find_priority(m);
        enqueue(job);
        return job;
}

Job *job_begin(Jobs *j, const Sender *sender, const MessageFrame *m)
{
        Job *job = job_new(j, sender, m);

        if (!job)
                return NULL;
        if (dedup_index_begin(j->index, m->stream, m->sequence, m->message, m->attempt, job, &job->entry) <
                        0) {
                job_free(job);
                return NULL;
        }
        job->alone = runs_is_suspect(j->runs, m->stream, m->sequence);
        return job;
}

void job_set_answered_early(Job *job, bool answered_early)
{
        if (answered_early != job->answered_early)
                job->jobs->n_answered_early += answered_early ? 1 : (size_t) -1;
        job->answered_early = answered_early;
}

void job_asked_by(Job *job, uint64_t conn)
{
        job->conn = conn;
        job_set_answered_early(job, false);
}

void job_answer(const Job *job, Outcome outcome)
{
        AnswerFrame a = {
                        .stream = job->key.stream,
                        .sequence = job->key.sequence,
                        .message = job->message,
                        .attempt = job->attempt,
                        .outcome = outcome,
        };

        if (outcome == job->outcome)
                a.data = (Bytes){job->data, job->data_size};
        else if (outcome == OUTCOME_WORKING && job->progress)
                a.data = (Bytes){(const uint8_t *) job->progress, strlen(job->progress)};
        if (outcome == OUTCOME_ACKED && job->cut)
                a.flags = ANSWER_CUT;
        if (outcome == OUTCOME_FAILED)
                a.delay_ms = (uint32_t) MIN(job->retry_usec / USEC_PER_MSEC, (uint64_t) UINT32_MAX);
        if (outcome == OUTCOME_BUSY)
                a.delay_ms = BUSY_DELAY_MS;
        conn_answer(job->jobs->conns, job->conn, &a);
}

static void leave_queue(Job *job)
{
        dequeue(job);
        DL_APPEND(job->jobs->active, job);
}

void job_set_outcome(Job *job, Outcome outcome, uint8_t *data, size_t size)
{
        if (job->state == JOB_RUNNING)
                stop_running(job, true);
        else
                leave_queue(job);
        job->state = JOB_RECORDING;
        job->outcome = outcome;
        job->data = data;
        job->data_size = size;
}

void job_abandon(Job *job)
{
        if (job->entry)
                dedup_index_abandon(job->jobs->index, job->entry);
        else
                conn_text_done(job->jobs->conns, job->conn, job->message, false);
        job_free(job);
}

/* All of them. */

size_t jobs_taken(const Jobs *j)
{
        return j->n - j->n_answered_early;
}

/* A job that runs alone, or the next one, which waits to be alone. */
static bool one_is_in_the_way(const Jobs *j)
{
        const Job *next = jobs_first_queued(j);

        return j->one_is_alone || (next && next->alone && j->n_running > 0);
}

size_t jobs_free(const Jobs *j)
{
        const size_t capacity = depth_capacity(&j->depth, j->config), taken = jobs_taken(j);

        if (!condition_permits(j->condition, MAY_BEGIN) || one_is_in_the_way(j))
                return 0;
        return taken < capacity ? capacity - taken : 0;
}

bool jobs_may_take_suspect(const Jobs *j)
{
        return condition_permits(j->condition, MAY_BEGIN) && jobs_taken(j) < config_capacity(j->config);
}

bool jobs_are_busy(const Jobs *j)
{
        return j->n_running >= j->config->concurrency || one_is_in_the_way(j);
}

static_assert(PRIORITY_MAX < sizeof(unsigned) * CHAR_BIT, "each priority has a bit");

static unsigned most_urgent(unsigned priorities)
{
        return (unsigned) (sizeof priorities * CHAR_BIT) - 1 - (unsigned) __builtin_clz(priorities);
}

Job *jobs_first_queued(const Jobs *j)
{
        return j->waiting ? j->queued[most_urgent(j->waiting)] : NULL;
}

Job *jobs_start_next(Jobs *j)
{
        Job *job = jobs_first_queued(j);

        if (!job || jobs_are_busy(j) || !condition_permits(j->condition, MAY_RUN))
                return NULL;
        leave_queue(job);
        /* Its sender may have given this receiver up, and sent the message to another one. */
        if (!conn_is_open(j->conns, job->conn))
                job->flags |= MESSAGE_POSSIBLE_DUPLICATE;
        job->state = JOB_RUNNING;
        job->since = loop_now(j->loop, CLOCK_BOOTTIME);
        j->one_is_alone = job->alone;
        j->n_running++;
        return job;
}

void jobs_kill(Jobs *j)
{
        Job *job;

        DL_FOREACH(j->active, job) {
                if (job->state != JOB_RUNNING)
                        continue;
                job->abandoned = true;
                child_kill(job->child);
        }
}

void jobs_clear(Jobs *j)
{
        Job *job;

        while ((job = jobs_first_queued(j)))
                job_free(job);
        while (j->active)
                job_free(j->active);
        slab_clear(&j->slab);
}
