/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/intake.h"

#include <errno.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "runtime/journal.h"

/* To cancel a message that is not here needs no handler: so many such records may be on their way beyond the
 * capacity. */
#define CANCELS_MAX 4096u

static void answer(Intake *in, uint64_t conn, const MessageFrame *m, Outcome outcome)
{
        AnswerFrame a = {
                        .stream = m->stream,
                        .sequence = m->sequence,
                        .message = m->message,
                        .attempt = m->attempt,
                        .outcome = outcome,
                        .delay_ms = outcome == OUTCOME_BUSY ? BUSY_DELAY_MS : 0,
        };

        conn_answer(in->conns, conn, &a);
}

/* The way of a job. */

static void finish(Intake *in, Job *job, Outcome outcome, uint8_t *data, size_t size)
{
        job_set_outcome(job, outcome, data, size);
        if (job->entry) {
                crash_point("handler-before-record");
                record_outcome(in->recorder, job);
                return;
        }
        record_log(in->recorder, job);
        conn_text_done(in->conns, job->conn, job->message, outcome == OUTCOME_ACKED);
        job_free(job);
}

static void abandon(Intake *in, Job *job)
{
        const sd_id128_t stream = job->key.stream;
        const bool framed = job->entry;

        job_abandon(job);
        if (framed)
                settles_job_ended(in->settles, stream, true);
}

/* Its sender has given this binding up, and may have sent the message elsewhere. */
static void drop_settled(Intake *in)
{
        Job *job;

        while ((job = jobs_first_queued(in->jobs)) && job->entry && dedup_index_is_settled(job->entry))
                abandon(in, job);
}

static Job *start_next(Intake *in)
{
        drop_settled(in);
        return jobs_start_next(in->jobs);
}

void intake_run_next(Intake *in)
{
        Job *job;

        while ((job = start_next(in))) {
                crash_point("before-handler");
                int r = handler_run(in->handler, job);
                if (r > 0)
                        finish(in, job, OUTCOME_ACKED, NULL, 0);
                else if (r < 0) {
                        job_answer(job, OUTCOME_BUSY);
                        abandon(in, job);
                }
        }
        if (jobs_first_queued(in->jobs) && !timer_is_armed(&in->give_back))
                (void) timer_arm_in(&in->give_back, DEPTH_GIVE_USEC);
}

/* What has not begun after a while goes back to its sender: another receiver may be idle. Returns when the
 * next of this priority is due. */
static uint64_t give_back(Intake *in, Job *first, uint64_t now)
{
        for (Job *job = first, *next; job; job = next) {
                next = job->next;
                if (usec_add(job->since, DEPTH_GIVE_USEC) > now)
                        return usec_add(job->since, DEPTH_GIVE_USEC);
                if (!job->entry || job->alone)
                        continue;
                job_answer(job, OUTCOME_BUSY);
                conn_refused(in->conns, job->conn);
                depth_gave_back(&in->jobs->depth);
                abandon(in, job);
        }
        return USEC_INFINITY;
}

static void on_give_back(void *userdata)
{
        Intake *in = userdata;
        const uint64_t now = now_usec(CLOCK_BOOTTIME);
        uint64_t next = USEC_INFINITY;

        /* Else something other than a handler is in the way. */
        for (size_t i = 0; jobs_are_busy(in->jobs) && i < ELEMENTSOF(in->jobs->queued); i++) {
                const uint64_t due = give_back(in, in->jobs->queued[i], now);
                next = MIN(next, due);
        }
        if (next == USEC_INFINITY && jobs_first_queued(in->jobs))
                next = usec_add(now, DEPTH_GIVE_USEC);
        (void) timer_arm_at(&in->give_back, next);
        conns_share(in->conns);
}

int intake_init(Intake *in)
{
        return timer_init(&in->give_back, in->loop, "give-back", on_give_back, in);
}

void intake_clear(Intake *in)
{
        timer_clear(&in->give_back);
}

void intake_on_handler_end(Job *job, HandlerEnd end, uint8_t *data, size_t size, void *userdata)
{
        static const Outcome outcomes[] = {
                        [HANDLER_ACKED] = OUTCOME_ACKED,
                        [HANDLER_REJECTED] = OUTCOME_REJECTED,
                        [HANDLER_FAILED] = OUTCOME_FAILED,
                        [HANDLER_CANCELLED] = OUTCOME_CANCELLED,
        };
        Intake *in = userdata;

        if (end == HANDLER_ABANDONED)
                abandon(in, job);
        else
                finish(in, job, outcomes[end], data, size);
        intake_run_next(in);
}

void intake_on_recorded(sd_id128_t stream, bool wanted, void *userdata)
{
        Intake *in = userdata;

        settles_job_ended(in->settles, stream, wanted);
        intake_run_next(in);
}

void intake_drop_queued(Intake *in)
{
        Job *job;

        while ((job = jobs_first_queued(in->jobs))) {
                job_answer(job, OUTCOME_BUSY);
                abandon(in, job);
        }
}

bool intake_is_idle(const Intake *in)
{
        return in->jobs->n == 0 && in->replies->n == 0;
}

/* MESSAGE. */

static void note_use(Intake *in, sd_id128_t stream, const Sender *sender)
{
        dedup_index_used(in->index, stream, sender->conn, loop_now(in->loop, CLOCK_MONOTONIC));
}

/* A job with an entry in the index; NULL when out of memory. */
static Job *begin(Intake *in, const Sender *sender, const MessageFrame *m)
{
        Job *job = job_begin(in->jobs, sender, m);

        if (job)
                working_begin(in->working, job, m);
        note_use(in, m->stream, sender);
        return job;
}

void intake_charge(Intake *in, Run *run)
{
        const MessageFrame m = {
                        .stream = run->stream,
                        .sequence = run->sequence,
                        .message = run->message,
                        .attempt = run->attempt,
        };
        const Sender nobody = {.name = "an earlier connection"};
        char *why, id[SD_ID128_UUID_STRING_MAX];

        if (dedup_index_judge(in->index, m.stream, m.sequence, m.message, m.attempt, NULL) != DEDUP_RUN) {
                runs_counted(in->jobs->runs, run);
                return;
        }
        log_warning("The receiver died while it ran message %s (%u time%s)",
                        sd_id128_to_uuid_string(run->message, id), run->deaths, run->deaths == 1 ? "" : "s");
        Job *job = begin(in, &nobody, &m);
        if (!job)
                return; /* out of memory: the next start tries it again */
        job->death = run;
        why = str_format("the receiver died while running this (%u time%s)", run->deaths,
                        run->deaths == 1 ? "" : "s");
        finish(in, job, OUTCOME_FAILED, (uint8_t *) why, why ? strlen(why) : 0);
}

/* A repetition of a message that is queued, running or being recorded. */
static void ask_again(Intake *in, const Sender *sender, const MessageFrame *m)
{
        Job *job = dedup_index_work(in->index, m->stream, m->sequence);

        job_asked_by(job, sender->conn);
        working_begin(in->working, job, m); /* its sender may have another ack timeout now */
        job->attempt = MAX(job->attempt, m->attempt);
        if (job->state != JOB_RECORDING)
                dedup_index_raise(job->entry, job->attempt);
        job_answer(job, OUTCOME_WORKING);
}

static const char *const verdict_texts[] = {
                [DEDUP_IN_PROGRESS] = ", in progress",
                [DEDUP_RECORDED] = ", known",
                [DEDUP_SETTLED] = ", settled",
                [DEDUP_CONFLICT] = ", in conflict with another message",
                [DEDUP_TOO_MANY] = ", refused: too many streams",
};

static void log_arrival(const Intake *in, const Sender *sender, const MessageFrame *m, DedupVerdict verdict)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (!journal_wants(JOURNAL_RECEIVED) ||
                        (verdict == DEDUP_RUN && message_is_routine(m->flags, m->attempt)))
                return;
        const JournalFields fields = {
                        .message = sd_id128_to_uuid_string(m->message, id),
                        .receiver = in->info->name,
                        .sender = sender->name,
                        .attempt = m->attempt,
        };

        journal_event(JOURNAL_RECEIVED, &fields, "Message %s from %s (attempt %u)%s", id, sender->name,
                        m->attempt, verdict_texts[verdict] ?: "");
}

static int out_of_window(uint64_t sequence, Error *error)
{
        return error_set(error, -EPROTO, "sequence %llu is more than %u above what is settled of its stream",
                        (unsigned long long) sequence, STREAM_WINDOW);
}

static void take_new(
                Intake *in, const Sender *sender, const MessageFrame *m, DedupVerdict verdict, bool room)
{
        Job *job = room ? begin(in, sender, m) : NULL;

        if (!job) {
                answer(in, sender->conn, m, OUTCOME_BUSY);
                /* Without memory, or with too many streams, a free place does not help. */
                if (verdict == DEDUP_RUN && !room)
                        conn_refused(in->conns, sender->conn);
                return;
        }
        if (conn_began(in->conns, sender->conn))
                job_answer(job, OUTCOME_WORKING);
        intake_run_next(in);
}

static bool has_room(const Intake *in, const Sender *sender, const MessageFrame *m)
{
        if (runs_is_suspect(in->jobs->runs, m->stream, m->sequence))
                return jobs_may_take_suspect(in->jobs);
        return conn_may_begin(in->conns, sender->conn, jobs_free(in->jobs));
}

int intake_message(Intake *in, const Sender *sender, const MessageFrame *m, Error *error)
{
        DedupRecord record;
        DedupVerdict verdict = dedup_index_judge(
                        in->index, m->stream, m->sequence, m->message, m->attempt, &record);

        if (verdict == DEDUP_TOO_MANY && settles_make_room(in->settles))
                verdict = dedup_index_judge(
                                in->index, m->stream, m->sequence, m->message, m->attempt, &record);
        if (verdict == DEDUP_OUT_OF_WINDOW)
                return out_of_window(m->sequence, error);
        const bool room = verdict == DEDUP_RUN && has_room(in, sender, m);
        if (!room) /* else once the stream is there */
                note_use(in, m->stream, sender);
        if (verdict != DEDUP_RUN || room)
                log_arrival(in, sender, m, verdict);
        switch (verdict) {
        case DEDUP_IN_PROGRESS:
                ask_again(in, sender, m);
                break;
        case DEDUP_RECORDED:
                reply_recorded(in->replies, sender->conn, m, record.outcome);
                break;
        case DEDUP_SETTLED:
                answer(in, sender->conn, m, OUTCOME_SETTLED);
                break;
        case DEDUP_CONFLICT:
                answer(in, sender->conn, m, OUTCOME_CONFLICT);
                break;
        default:
                take_new(in, sender, m, verdict, room);
        }
        return 0;
}

bool intake_text(Intake *in, const Sender *sender, Bytes text)
{
        MessageFrame m = {.attempt = 1, .payload = text, .flags = MESSAGE_POSSIBLE_DUPLICATE};

        if (!conn_may_begin(in->conns, sender->conn, jobs_free(in->jobs)) ||
                        random_uuid(NULL, m.message.bytes) < 0)
                return false;
        Job *job = job_new(in->jobs, sender, &m);
        if (!job)
                return false;
        working_begin(in->working, job, &m);
        log_arrival(in, sender, &m, DEDUP_RUN);
        intake_run_next(in);
        return true;
}

/* CANCEL. */

static void cancel_job(Intake *in, Job *job)
{
        if (job->state == JOB_QUEUED)
                finish(in, job, OUTCOME_CANCELLED, NULL, 0);
        else if (job->state == JOB_RUNNING) {
                job->cancelled = true;
                child_kill(job->child);
        }
        /* Being recorded: the outcome is the answer. */
}

/* Nobody knows what became of it, and it must not be run any more. */
static void refuse_unsure(Intake *in, Job *job)
{
        char *why = strdup("this receiver has lost records: nobody knows whether the message was processed");

        finish(in, job, OUTCOME_REJECTED, (uint8_t *) why, why ? strlen(why) : 0);
}

/* The message is not here, or its last attempt failed: cancelled is recorded, so that it is not run if it
 * still comes. */
static bool cancel_unknown(Intake *in, const Sender *sender, const MessageFrame *m)
{
        const bool room = jobs_taken(in->jobs) < config_capacity(in->config) + CANCELS_MAX;
        Job *job = room ? begin(in, sender, m) : NULL;

        if (!job)
                return false;
        if (in->unsure)
                refuse_unsure(in, job);
        else
                cancel_job(in, job);
        return true;
}

static void cancel_known(Intake *in, const Sender *sender, const CancelFrame *f)
{
        Job *job = dedup_index_work(in->index, f->stream, f->sequence);

        job_asked_by(job, sender->conn);
        cancel_job(in, job);
}

int intake_cancel(Intake *in, const Sender *sender, const CancelFrame *f, Error *error)
{
        MessageFrame m = {.stream = f->stream, .sequence = f->sequence, .message = f->message, .attempt = 1};
        DedupRecord record;
        DedupVerdict verdict = dedup_index_judge(in->index, f->stream, f->sequence, f->message, 0, &record);

        if (verdict == DEDUP_OUT_OF_WINDOW)
                return out_of_window(f->sequence, error);
        note_use(in, f->stream, sender);
        if (verdict == DEDUP_RECORDED && record.outcome == OUTCOME_FAILED && record.attempt < UINT32_MAX) {
                m.attempt = record.attempt + 1;
                verdict = DEDUP_RUN;
        } else if (verdict == DEDUP_RECORDED)
                m.attempt = record.attempt;
        switch (verdict) {
        case DEDUP_IN_PROGRESS:
                cancel_known(in, sender, f);
                break;
        case DEDUP_RECORDED:
                reply_recorded(in->replies, sender->conn, &m, record.outcome);
                break;
        case DEDUP_SETTLED:
                answer(in, sender->conn, &m, OUTCOME_SETTLED);
                break;
        case DEDUP_CONFLICT:
                answer(in, sender->conn, &m, OUTCOME_CONFLICT);
                break;
        default:
                if (verdict == DEDUP_TOO_MANY || !cancel_unknown(in, sender, &m))
                        answer(in, sender->conn, &m, OUTCOME_BUSY);
        }
        return 0;
}
