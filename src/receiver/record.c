/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/record.h"

#include <errno.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/str-util.h"
#include "receiver/receiver.h"
#include "runtime/journal.h"

#define TOLD_MAX          4096u /* beyond that the disk is waited for, also by who does not ask for it */
#define RECORD_AGAIN_USEC USEC_PER_SEC

void record_log(const Job *job)
{
        static const JournalEvent events[] = {
                        [OUTCOME_ACKED] = JOURNAL_RUN_ACKED,
                        [OUTCOME_REJECTED] = JOURNAL_RUN_REJECTED,
                        [OUTCOME_FAILED] = JOURNAL_RUN_FAILED,
                        [OUTCOME_CANCELLED] = JOURNAL_RUN_CANCELLED,
        };
        char id[SD_ID128_UUID_STRING_MAX];
        bool good = job->outcome == OUTCOME_ACKED;

        if (!journal_wants(events[job->outcome]))
                return;
        _cleanup_free_ char *why = good ? NULL : str_printable(job->data, job->data_size, ERROR_TEXT_MAX);
        const JournalFields fields = {
                        .message = sd_id128_to_uuid_string(job->message, id),
                        .receiver = job->receiver->info.name,
                        .sender = job->sender_name,
                        .attempt = job->attempt,
                        .reason = why,
        };

        journal_event(events[job->outcome], &fields, "Message %s %s%s%s", id,
                        outcome_to_string(job->outcome), str_empty(why) ? "" : ": ", why ?: "");
}

static void on_recorded(DbOp *op, int result)
{
        Job *job = CONTAINER_OF(op, Job, record.op);
        Receiver *r = job->receiver;
        sd_id128_t stream = job->key.stream;
        char id[SD_ID128_UUID_STRING_MAX];

        job->recording = false;
        if (result < 0) {
                /* Its handler has run: to forget that would run it again. */
                if (!job->unrecorded)
                        (void) log_error_errno(result,
                                        "Message %s: cannot record that it is %s, trying again until it can "
                                        "be answered",
                                        sd_id128_to_uuid_string(job->message, id),
                                        outcome_to_string(job->outcome));
                job->unrecorded = true;
                if (!timer_is_armed(&r->jobs.record_again))
                        (void) timer_arm_in(&r->jobs.record_again, RECORD_AGAIN_USEC);
                return;
        }
        crash_point("recorded-before-answer");
        dedup_index_finish(r->index, job->entry, job->outcome);
        record_log(job);
        if (!job->told)
                job_answer(job, job->outcome);
        crash_point("recorded-behind-answer");
        job_free(job);
        settles_stream_idle(r, stream);
        jobs_run_next(r);
        receiver_progress(r);
}

void record_outcome(Job *job)
{
        job->recording = true;
        dedup_record_op_init(&job->record);
        job->record.op.done = on_recorded;
        job->record.record = (DedupRecord){
                        job->key.stream, job->key.sequence, job->message, job->attempt, job->outcome};
        job->record.reply = job->data;
        job->record.reply_size = job->data_size;
        /* Its sender would lose it in a crash, too: nothing is gained by waiting. */
        if (job->flags & MESSAGE_MEMORY && !job->told && job->receiver->jobs.n_told < TOLD_MAX) {
                job_set_told(job, true);
                job_answer(job, job->outcome);
        }
        if (job->told)
                db_submit_lazily(job->receiver->db, &job->record.op);
        else
                db_submit(job->receiver->db, &job->record.op);
}

void record_on_timer(void *userdata)
{
        Receiver *r = userdata;
        Job *job;

        DL_FOREACH(r->jobs.active, job)
                if (job->unrecorded && !job->recording)
                        record_outcome(job);
}
