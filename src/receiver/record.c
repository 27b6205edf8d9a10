/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/record.h"

#include <errno.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/str-util.h"
#include "runtime/journal.h"

/* Jobs that may be answered before they are recorded. Further jobs wait for the disk, even if their message
 * is accepted in memory only. */
#define ANSWERED_EARLY_MAX 4096u
#define RECORD_AGAIN_USEC  USEC_PER_SEC

void record_log(const Recorder *r, const Job *job)
{
        static const JournalEvent events[] = {
                        [OUTCOME_ACKED] = JOURNAL_RUN_ACKED,
                        [OUTCOME_REJECTED] = JOURNAL_RUN_REJECTED,
                        [OUTCOME_FAILED] = JOURNAL_RUN_FAILED,
                        [OUTCOME_CANCELLED] = JOURNAL_RUN_CANCELLED,
        };
        char id[SD_ID128_UUID_STRING_MAX];
        bool good = job->outcome == OUTCOME_ACKED;

        if (!journal_wants(events[job->outcome]) || (good && message_is_routine(job->flags, job->attempt)))
                return;
        _cleanup_free_ char *why = good ? NULL : str_printable(job->data, job->data_size, ERROR_TEXT_MAX);
        const JournalFields fields = {
                        .message = sd_id128_to_uuid_string(job->message, id),
                        .receiver = r->info->name,
                        .sender = job->sender_name,
                        .attempt = job->attempt,
                        .reason = why,
        };

        journal_event(events[job->outcome], &fields, "Message %s %s%s%s", id,
                        outcome_to_string(job->outcome), str_empty(why) ? "" : ": ", why ?: "");
}

static void on_refused(Recorder *r, Job *job, int error)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (!job->unrecorded)
                (void) log_error_errno(error, "Message %s: cannot record the outcome (%s), trying again",
                                sd_id128_to_uuid_string(job->message, id), outcome_to_string(job->outcome));
        job->unrecorded = true;
        if (!timer_is_armed(&r->again))
                (void) timer_arm_in(&r->again, RECORD_AGAIN_USEC);
}

/* A failure is recorded for its attempt. A higher attempt that has asked since then has not been run. */
static void answer(const Job *job)
{
        const bool unrun = job->outcome == OUTCOME_FAILED && job->attempt > job->record.record.attempt;

        job_answer(job, unrun ? OUTCOME_BUSY : job->outcome);
}

static void on_recorded(DbOp *op, int result)
{
        Job *job = CONTAINER_OF(op, Job, record.op);
        Recorder *r = job->recorder;
        const sd_id128_t stream = job->key.stream;

        job->recording = false;
        if (result < 0) {
                on_refused(r, job, result);
                return;
        }
        crash_point("recorded-before-answer");
        if (job->death)
                runs_counted(job->jobs->runs, job->death);
        bool wanted = dedup_index_finish(r->index, job->entry, job->outcome);
        record_log(r, job);
        if (!job->answered_early)
                answer(job);
        crash_point("recorded-behind-answer");
        job_free(job);
        r->done(stream, wanted, r->userdata);
}

/* `attempt`: as the index has it. Higher ones that are asked for from now on have not been run. */
static void submit(Recorder *r, Job *job, uint32_t attempt)
{
        job->recording = true;
        dedup_record_op_init(&job->record);
        job->record.op.done = on_recorded;
        job->record.record = (DedupRecord){job->key.stream, job->key.sequence, job->message, attempt,
                        job->outcome, job->cut && job->outcome == OUTCOME_ACKED};
        job->record.reply = job->data;
        job->record.reply_size = job->data_size;
        /* A crash of the sender would lose this message anyway, so waiting for the disk gains nothing. */
        if (job->flags & MESSAGE_TRANSIENT && !job->answered_early &&
                        r->jobs->n_answered_early < ANSWERED_EARLY_MAX) {
                job_set_answered_early(job, true);
                job_answer(job, job->outcome);
        }
        if (job->answered_early)
                db_submit_lazily(r->db, &job->record.op);
        else
                db_submit(r->db, &job->record.op);
}

void record_outcome(Recorder *r, Job *job)
{
        job->recorder = r;
        submit(r, job, job->attempt);
}

static void on_timer(void *userdata)
{
        Recorder *r = userdata;
        Job *job;

        DL_FOREACH(r->jobs->active, job)
                if (job->unrecorded && !job->recording)
                        submit(r, job, job->record.record.attempt);
}

int recorder_init(Recorder *r)
{
        return timer_init(&r->again, r->loop, "record", on_timer, r);
}

void recorder_clear(Recorder *r)
{
        timer_clear(&r->again);
}
