/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/job.h"

#include <errno.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "receiver/handler.h"
#include "receiver/receiver.h"
#include "receiver/record.h"
#include "receiver/working.h"
#include "runtime/journal.h"

#define BUSY_DELAY_MS 100
#define CANCELS_MAX   4096u
#define REPLIES_MAX   1024u

static void release_memory(Job *job)
{
        Slab *slab = &job->receiver->jobs.slab;

        slab_block_free(slab, job->payload);
        slab_free(slab, job, sizeof *job);
}

void job_free(Job *job)
{
        Receiver *r = job->receiver;

        if (job->state == JOB_QUEUED)
                DL_DELETE(r->jobs.queued, job);
        else
                DL_DELETE(r->jobs.active, job);
        if (job->state == JOB_RUNNING)
                r->jobs.n_running--;
        job_set_told(job, false);
        r->jobs.n--;
        child_free(job->child);
        free(job->data);
        free(job->progress);
        free(job->reason);
        release_memory(job);
}

/* Answers. */

static AnswerFrame answer_to(const MessageFrame *m, Outcome outcome)
{
        return (AnswerFrame){
                        .stream = m->stream,
                        .sequence = m->sequence,
                        .message = m->message,
                        .attempt = m->attempt,
                        .outcome = outcome,
                        .delay_ms = outcome == OUTCOME_BUSY ? BUSY_DELAY_MS : 0,
        };
}

static void answer(Receiver *r, uint64_t conn, const MessageFrame *m, Outcome outcome)
{
        AnswerFrame a = answer_to(m, outcome);

        conn_answer(r, conn, &a);
}

/* The outcome of a job, or that it is still being worked on. */
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
        if (outcome == OUTCOME_FAILED)
                a.delay_ms = (uint32_t) MIN(job->retry_usec / USEC_PER_MSEC, (uint64_t) UINT32_MAX);
        if (outcome == OUTCOME_BUSY)
                a.delay_ms = BUSY_DELAY_MS;
        conn_answer(job->receiver, job->conn, &a);
}

/* A recorded outcome: its reply is on disk only. */
typedef struct Fetch {
        Receiver *receiver;
        DedupReplyOp reply;
        uint64_t conn;
        AnswerFrame answer;
} Fetch;

static void on_fetched(DbOp *op, int result)
{
        Fetch *f = CONTAINER_OF(op, Fetch, reply.op);
        Receiver *r = f->receiver;

        r->jobs.n_replies--;
        if (result == -ENOENT)
                f->answer.outcome = OUTCOME_SETTLED;
        else
                f->answer.data = (Bytes){f->reply.reply, f->reply.reply_size};
        if (result >= 0 || result == -ENOENT)
                conn_answer(r, f->conn, &f->answer);
        else
                (void) log_error_errno(result, "Cannot read a recorded reply");
        free(f->reply.reply);
        free(f);
        receiver_progress(r);
}

static void answer_recorded(Receiver *r, uint64_t conn, const MessageFrame *m, const DedupRecord *record)
{
        Fetch *f = r->jobs.n_replies < REPLIES_MAX ? calloc(1, sizeof *f) : NULL;

        if (!f) {
                answer(r, conn, m, OUTCOME_WORKING);
                return;
        }
        f->receiver = r;
        f->conn = conn;
        f->answer = answer_to(m, record->outcome);
        dedup_reply_op_init(&f->reply);
        f->reply.op.done = on_fetched;
        f->reply.stream = m->stream;
        f->reply.sequence = m->sequence;
        r->jobs.n_replies++;
        db_submit(r->db, &f->reply.op);
}

/* The end of a job. */

void job_finish(Job *job, Outcome outcome, uint8_t *data, size_t size)
{
        Receiver *r = job->receiver;

        if (job->state == JOB_RUNNING)
                r->jobs.n_running--;
        job->state = JOB_RECORDING;
        job->outcome = outcome;
        job->data = data;
        job->data_size = size;
        if (!job->entry) {
                record_log(job);
                conn_text_done(r, job->conn, outcome == OUTCOME_ACKED);
                job_free(job);
                receiver_progress(r);
                return;
        }
        crash_point("handler-before-record");
        record_outcome(job);
}

void job_abandon(Job *job)
{
        Receiver *r = job->receiver;
        sd_id128_t stream = job->key.stream;
        bool framed = job->entry;

        if (framed)
                dedup_index_abandon(r->index, job->entry);
        else
                conn_text_done(r, job->conn, false);
        job_free(job);
        if (framed)
                settles_stream_idle(r, stream);
        receiver_progress(r);
}

/* The beginning of a job. */

static Job *job_new(Receiver *r, const Sender *sender, const MessageFrame *m)
{
        const size_t name_size = strlen(sender->name) + 1;
        Job *job = slab_zero(&r->jobs.slab, sizeof *job);

        if (!job)
                return NULL;
        job->receiver = r;
        job->key = (JobKey){m->stream, m->sequence};
        job->message = m->message;
        job->attempt = m->attempt;
        job->flags = m->flags;
        job->conn = sender->conn;
        job->sender = sender->id;
        job->payload = slab_block_new(&r->jobs.slab, m->payload.size + name_size);
        job->payload_size = m->payload.size;
        if (!job->payload) {
                release_memory(job);
                return NULL;
        }
        if (m->payload.size > 0)
                memcpy(job->payload, m->payload.data, m->payload.size);
        job->sender_name = memcpy(job->payload + m->payload.size, sender->name, name_size);
        r->jobs.n++;
        DL_APPEND(r->jobs.queued, job);
        working_begin(job, m);
        return job;
}

static void note_use(Receiver *r, sd_id128_t stream, const Sender *sender)
{
        dedup_index_used(r->index, stream, sender->conn, loop_now(r->loop, CLOCK_MONOTONIC));
}

/* A job with a place in the memory of outcomes; NULL when out of memory. */
static Job *job_begin(Receiver *r, const Sender *sender, const MessageFrame *m)
{
        Job *job = job_new(r, sender, m);

        if (!job)
                return NULL;
        if (dedup_index_begin(r->index, m->stream, m->sequence, m->message, m->attempt, job, &job->entry) <
                        0) {
                job_free(job);
                return NULL;
        }
        note_use(r, m->stream, sender);
        return job;
}

void jobs_run_next(Receiver *r)
{
        while (!r->stopping && !r->renewing && r->jobs.queued && r->jobs.n_running < r->concurrency) {
                Job *job = r->jobs.queued;

                DL_DELETE(r->jobs.queued, job);
                DL_APPEND(r->jobs.active, job);
                job->state = JOB_RUNNING;
                r->jobs.n_running++;
                crash_point("before-handler");
                handler_run(job);
        }
}

static bool have_room(const Receiver *r)
{
        return !r->stopping && !r->renewing && !r->draining &&
               r->jobs.n - r->jobs.n_told < receiver_capacity(r);
}

void job_set_told(Job *job, bool told)
{
        if (told != job->told)
                job->receiver->jobs.n_told += told ? 1 : (size_t) -1;
        job->told = told;
}

/* A repetition of what is queued, running or being recorded. */
static void ask_again(Receiver *r, const Sender *sender, const MessageFrame *m)
{
        Job *job = dedup_index_work(r->index, m->stream, m->sequence);

        job->conn = sender->conn;
        job_set_told(job, false);
        job->attempt = MAX(job->attempt, m->attempt);
        if (job->state != JOB_RECORDING)
                dedup_index_raise(job->entry, job->attempt);
        job_answer(job, OUTCOME_WORKING);
}

static const char *const verdict_texts[] = {
                [DEDUP_IN_PROGRESS] = ", being worked on",
                [DEDUP_RECORDED] = ", known",
                [DEDUP_SETTLED] = ", settled",
                [DEDUP_CONFLICT] = ", in conflict with another one",
                [DEDUP_TOO_MANY] = ", refused: too many streams",
};

static void log_arrival(const Receiver *r, const Sender *sender, const MessageFrame *m, DedupVerdict verdict)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (!journal_wants(JOURNAL_RECEIVED))
                return;
        const JournalFields fields = {
                        .message = sd_id128_to_uuid_string(m->message, id),
                        .receiver = r->info.name,
                        .sender = sender->name,
                        .attempt = m->attempt,
        };

        journal_event(JOURNAL_RECEIVED, &fields, "Message %s from %s (attempt %u)%s", id, sender->name,
                        m->attempt, verdict_texts[verdict] ?: "");
}

static int out_of_window(const MessageFrame *m, Error *error)
{
        return error_set(error, -EPROTO, "sequence %llu is more than %u above what is settled of its stream",
                        (unsigned long long) m->sequence, STREAM_WINDOW);
}

int job_message(Receiver *r, const Sender *sender, const MessageFrame *m, Error *error)
{
        DedupRecord record;
        DedupVerdict verdict =
                        dedup_index_judge(r->index, m->stream, m->sequence, m->message, m->attempt, &record);

        if (verdict == DEDUP_TOO_MANY && settles_make_room(r))
                verdict = dedup_index_judge(
                                r->index, m->stream, m->sequence, m->message, m->attempt, &record);
        if (verdict == DEDUP_OUT_OF_WINDOW)
                return out_of_window(m, error);
        note_use(r, m->stream, sender);
        if (verdict != DEDUP_RUN || have_room(r))
                log_arrival(r, sender, m, verdict);
        switch (verdict) {
        case DEDUP_IN_PROGRESS:
                ask_again(r, sender, m);
                break;
        case DEDUP_RECORDED:
                answer_recorded(r, sender->conn, m, &record);
                break;
        case DEDUP_SETTLED:
                answer(r, sender->conn, m, OUTCOME_SETTLED);
                break;
        case DEDUP_CONFLICT:
                answer(r, sender->conn, m, OUTCOME_CONFLICT);
                break;
        default:
                if (verdict == DEDUP_TOO_MANY || !have_room(r) || !job_begin(r, sender, m))
                        answer(r, sender->conn, m, OUTCOME_BUSY);
                else
                        jobs_run_next(r);
        }
        return 0;
}

bool job_text(Receiver *r, const Sender *sender, Bytes text)
{
        MessageFrame m = {.attempt = 1, .payload = text, .flags = MESSAGE_POSSIBLE_DUPLICATE};

        if (!have_room(r) || random_uuid(NULL, m.message.bytes) < 0 || !job_new(r, sender, &m))
                return false;
        log_arrival(r, sender, &m, DEDUP_RUN);
        jobs_run_next(r);
        return true;
}

/* Cancelling. */

static void cancel_job(Job *job)
{
        if (job->state == JOB_QUEUED) {
                DL_DELETE(job->receiver->jobs.queued, job);
                DL_APPEND(job->receiver->jobs.active, job);
                job_finish(job, OUTCOME_CANCELLED, NULL, 0);
        } else if (job->state == JOB_RUNNING) {
                job->cancelled = true;
                child_kill(job->child);
        }
        /* Being recorded: what came of it is the answer. */
}

/* Not here, or failed: cancelled is recorded, so that the message is not run if it still comes. */
static bool cancel_unknown(Receiver *r, const Sender *sender, const MessageFrame *m)
{
        size_t n = r->jobs.n - r->jobs.n_told;
        Job *job = n < receiver_capacity(r) + CANCELS_MAX ? job_begin(r, sender, m) : NULL;

        if (!job)
                return false;
        cancel_job(job);
        return true;
}

int job_cancel(Receiver *r, const Sender *sender, const CancelFrame *f, Error *error)
{
        MessageFrame m = {.stream = f->stream, .sequence = f->sequence, .message = f->message, .attempt = 1};
        DedupRecord record;
        DedupVerdict verdict = dedup_index_judge(r->index, f->stream, f->sequence, f->message, 0, &record);
        Job *job;

        if (verdict == DEDUP_OUT_OF_WINDOW)
                return out_of_window(&m, error);
        note_use(r, f->stream, sender);
        if (verdict == DEDUP_RECORDED && record.outcome == OUTCOME_FAILED && record.attempt < UINT32_MAX) {
                m.attempt = record.attempt + 1;
                verdict = DEDUP_RUN;
        } else if (verdict == DEDUP_RECORDED)
                m.attempt = record.attempt;
        switch (verdict) {
        case DEDUP_IN_PROGRESS:
                job = dedup_index_work(r->index, f->stream, f->sequence);
                job->conn = sender->conn;
                job_set_told(job, false);
                cancel_job(job);
                break;
        case DEDUP_RECORDED:
                answer_recorded(r, sender->conn, &m, &record);
                break;
        case DEDUP_SETTLED:
                answer(r, sender->conn, &m, OUTCOME_SETTLED);
                break;
        case DEDUP_CONFLICT:
                answer(r, sender->conn, &m, OUTCOME_CONFLICT);
                break;
        default:
                if (verdict == DEDUP_TOO_MANY || !cancel_unknown(r, sender, &m))
                        answer(r, sender->conn, &m, OUTCOME_BUSY);
        }
        return 0;
}

/* The end of all of them. */

void jobs_drop_queued(Receiver *r)
{
        while (r->jobs.queued) {
                job_answer(r->jobs.queued, OUTCOME_BUSY);
                job_abandon(r->jobs.queued);
        }
}

void jobs_kill(Receiver *r)
{
        Job *job;

        DL_FOREACH(r->jobs.active, job) {
                if (job->state != JOB_RUNNING)
                        continue;
                job->abandoned = true;
                child_kill(job->child);
        }
}

bool jobs_are_idle(const Receiver *r)
{
        return r->jobs.n == 0 && r->jobs.n_replies == 0;
}

int jobs_init(Receiver *r)
{
        int x = timer_init(&r->jobs.working, r->loop, "working", working_on_timer, r);

        return x < 0 ? x : timer_init(&r->jobs.record_again, r->loop, "record", record_on_timer, r);
}

void jobs_clear(Receiver *r)
{
        while (r->jobs.queued)
                job_free(r->jobs.queued);
        while (r->jobs.active)
                job_free(r->jobs.active);
        slab_clear(&r->jobs.slab);
        timer_clear(&r->jobs.working);
        timer_clear(&r->jobs.record_again);
}
