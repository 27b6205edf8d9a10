/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/stop.h"

#include <utlist.h>

#include "base/log.h"
#include "receiver/handler.h"
#include "runtime/journal.h"
#include "runtime/notify.h"

/* After StopTimeoutSec= the handlers are killed; records and answers may take so much longer. */
#define STOP_GRACE_USEC (5 * USEC_PER_SEC)
/* Clients may take so long to read their answers and to answer GOODBYE. */
#define STOP_FLUSH_USEC (2 * USEC_PER_SEC)

void stop_finish(Stop *s)
{
        loop_exit(s->loop, 0);
}

static void leave(Stop *s)
{
        s->condition->phase = PHASE_LEAVING;
        (void) timer_arm_in(&s->timer, STOP_GRACE_USEC);
        /* A receiver that is started again at once need not leave. */
        if (s->reason == GOODBYE_RESTARTING)
                stop_finish(s);
        else
                registration_leave(s->registration);
}

static void tell_running(const Stop *s)
{
        char id[SD_ID128_UUID_STRING_MAX];
        const Job *job;

        DL_FOREACH(s->intake->jobs->active, job) {
                if (job->state != JOB_RUNNING)
                        continue;
                (void) sd_id128_to_uuid_string(job->message, id);
                const JournalFields fields = {.message = id,
                                .receiver = job->handler->info->name,
                                .attempt = job->attempt};
                journal_line(LOG_WARNING, &fields,
                                "Message %s: its handler has not finished in time: killing it; the sender "
                                "will "
                                "send the message again",
                                id);
        }
}

static void lose_patience(Stop *s)
{
        if (s->intake->jobs->n_running > 0)
                tell_running(s);
        else
                log_warning("An outcome has not been written or read in time: waiting a little longer");
        s->killed = true;
        jobs_kill(s->intake->jobs);
        (void) timer_arm_in(&s->timer, STOP_GRACE_USEC);
}

static void on_timer(void *userdata)
{
        Stop *s = userdata;

        if (s->condition->phase == PHASE_LEAVING)
                stop_finish(s);
        else if (intake_is_idle(s->intake)) /* a client does not read its answer, or does not say GOODBYE */
                leave(s);
        else if (!s->killed)
                lose_patience(s);
        else {
                log_warning("Ending now: senders will send again what was not answered");
                stop_finish(s);
        }
}

/* Waits until all answers are with the kernel and every client has answered GOODBYE. */
void stop_on_idle(Stop *s)
{
        const Phase phase = s->condition->phase;

        if (phase != PHASE_PARTING && phase != PHASE_FLUSHING)
                return;
        if (conns_have_parted(s->conns))
                leave(s);
        else if (phase == PHASE_PARTING) {
                s->condition->phase = PHASE_FLUSHING;
                (void) timer_arm_in(&s->timer, STOP_FLUSH_USEC);
        }
}

static void on_unit_job(bool restarting, void *userdata)
{
        Stop *s = userdata;

        s->reason = restarting ? GOODBYE_RESTARTING : GOODBYE_STOPPING;
        if (s->condition->phase == PHASE_STOPPING)
                s->condition->phase = PHASE_PARTING;
        conns_goodbye(s->conns, s->reason, false);
        loop_defer(s->loop, s->idle_check);
}

void stop_begin(Stop *s)
{
        s->condition->phase = PHASE_STOPPING;
        notify_stopping();
        service_extend(s->service, true);
        notify_status("Finishing what runs");
        loop_defer(s->loop, s->idle_check);
        (void) timer_arm_in(&s->timer, s->config->stop_timeout_usec);
        intake_drop_queued(s->intake);
        if (unit_job_ask(s->loop, on_unit_job, s, &s->unit_job) < 0)
                on_unit_job(false, s);
}

int stop_init(Stop *s)
{
        return timer_init(&s->timer, s->loop, "stop", on_timer, s);
}

void stop_clear(Stop *s)
{
        timer_clear(&s->timer);
        unit_job_free(s->unit_job);
}
