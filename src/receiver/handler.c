/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/handler.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/parse-util.h"
#include "base/str-util.h"
#include "receiver/receiver.h"
#include "receiver/working.h"

#define LOGGED_MAX 1000u /* bytes of a message that the built-in handler shows */

/* What systemd says to us and to nobody else. */
static const char *const private_variables[] = {
                "NOTIFY_SOCKET=",
                "WATCHDOG_PID=",
                "WATCHDOG_USEC=",
                "LISTEN_PID=",
                "LISTEN_FDS=",
                "LISTEN_FDNAMES=",
                "ACKGROUP_",
};

static bool is_private(const char *variable)
{
        for (size_t i = 0; i < ELEMENTSOF(private_variables); i++)
                if (str_after_prefix(variable, private_variables[i]))
                        return true;
        return false;
}

int handler_init(Receiver *r, Error *error)
{
        int x;

        if (!r->command || !r->command[0])
                return 0;
        x = child_find_program(r->command[0], &r->program);
        if (x < 0)
                return error_set(error, x, "cannot run the handler %s: %s", r->command[0], strerror(-x));
        for (char **e = environ; *e; e++)
                if (!is_private(*e) && strv_append(&r->environment, *e) < 0)
                        return -ENOMEM;
        return 0;
}

void handler_clear(Receiver *r)
{
        free_clear(&r->program);
        r->environment = strv_free(r->environment);
}

/* The environment of one run: ours, and what is known of the message. */
static char **make_environment(const Job *job)
{
        char id[SD_ID128_UUID_STRING_MAX], *variables[10];
        const Receiver *r = job->receiver;
        char **e = strv_copy(r->environment);
        size_t n = 0;

        variables[n++] = str_format("ACKGROUP_MESSAGE=%s", sd_id128_to_uuid_string(job->message, id));
        variables[n++] = str_format("ACKGROUP_SENDER=%s", sd_id128_to_uuid_string(job->sender, id));
        variables[n++] = str_format("ACKGROUP_SENDER_NAME=%s", job->sender_name);
        variables[n++] = str_format("ACKGROUP_STREAM=%s", sd_id128_to_uuid_string(job->key.stream, id));
        variables[n++] = str_format("ACKGROUP_SEQUENCE=%llu", (unsigned long long) job->key.sequence);
        variables[n++] = str_format("ACKGROUP_ATTEMPT=%u", job->attempt);
        variables[n++] = str_format("ACKGROUP_RECEIVER=%s", sd_id128_to_uuid_string(r->info.id, id));
        variables[n++] = str_format("ACKGROUP_RECEIVER_NAME=%s", r->info.name);
        variables[n++] = str_format("ACKGROUP_REPORT_FD=%d", CHILD_REPORT_FD);
        if (job->flags & MESSAGE_POSSIBLE_DUPLICATE)
                variables[n++] = str_format("ACKGROUP_POSSIBLE_DUPLICATE=1");
        for (size_t i = 0; i < n; i++) {
                if (e && (!variables[i] || strv_append(&e, variables[i]) < 0))
                        e = strv_free(e);
                free(variables[i]);
        }
        return e;
}

/* In the new process. */
static int before_exec(pid_t group, void *userdata)
{
        const Job *job = userdata;

        return warden_begin(&job->receiver->warden, group);
}

static void finish(Job *job, Outcome outcome, char *why)
{
        job_finish(job, outcome, (uint8_t *) why, why ? strlen(why) : 0);
}

/* Those of sysexits.h that no other try will change. */
static bool means_rejected(int status)
{
        static const int statuses[] = {EX_DATAERR, EX_NOUSER, EX_NOHOST, EX_PROTOCOL, EX_NOPERM};

        for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
                if (status == statuses[i])
                        return true;
        return false;
}

static void report_progress(Job *job, const char *rest)
{
        size_t digits = strspn(rest, "0123456789");
        _cleanup_free_ char *number = strndup(rest, digits);
        unsigned percent;

        if (!number || parse_unsigned(number, 0, 100, &percent) < 0 ||
                        (rest[digits] && rest[digits] != ' ')) {
                log_warning("The handler says \"progress %s\", which is not \"progress PERCENT TEXT\"",
                                rest);
                return;
        }
        free(job->progress);
        job->progress = str_printable(rest, strlen(rest), ERROR_TEXT_MAX);
        working_progress(job);
}

/* What a handler says on its descriptor for reports. */
static void on_report(const char *line, void *userdata)
{
        Job *job = userdata;
        const char *rest;

        if ((rest = str_after_prefix(line, "progress ")))
                report_progress(job, rest);
        else if ((rest = str_after_prefix(line, "retry "))) {
                if (parse_duration(rest, &job->retry_usec) < 0)
                        log_warning("The handler says \"retry %s\", which is not a time", rest);
        } else if ((rest = str_after_prefix(line, "error "))) {
                free(job->reason);
                job->reason = str_printable(rest, strlen(rest), ERROR_TEXT_MAX);
        } else
                log_warning("The handler reports something else than progress, retry or error: %s", line);
}

static char *describe(const Job *job, const ChildResult *result)
{
        const Receiver *r = job->receiver;
        char limit[DURATION_MAX];

        if (result->timed_out)
                return str_format("time limit of %s", format_duration(limit, r->handler_timeout_usec));
        if (job->reason)
                return strdup(job->reason);
        if (WIFSIGNALED(result->status))
                return str_format("handler killed by signal %d", WTERMSIG(result->status));
        return str_format("handler exited with status %d", WEXITSTATUS(result->status));
}

static void on_done(pid_t group, const ChildResult *result, void *userdata)
{
        bool killed = WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGKILL;
        Job *job = userdata;
        Receiver *r = job->receiver;

        job->child = NULL;
        warden_end(&r->warden, group);
        if (job->abandoned && killed)
                job_abandon(job);
        else if (job->cancelled && killed)
                job_finish(job, OUTCOME_CANCELLED, NULL, 0);
        else if (WIFEXITED(result->status) && WEXITSTATUS(result->status) == 0) {
                uint8_t *reply = result->output_size > 0 ? malloc(result->output_size) : NULL;
                if (reply)
                        memcpy(reply, result->output, result->output_size);
                job_finish(job, OUTCOME_ACKED, reply, reply ? result->output_size : 0);
        } else if (WIFEXITED(result->status) && means_rejected(WEXITSTATUS(result->status)))
                finish(job, OUTCOME_REJECTED, describe(job, result));
        else
                finish(job, OUTCOME_FAILED, describe(job, result));
        jobs_run_next(r);
}

static void log_message(Job *job)
{
        if (log_get_level() >= LOG_INFO) {
                _cleanup_free_ char *text = str_printable(job->payload, job->payload_size, LOGGED_MAX);

                log_info("%s says: %s", job->sender_name, text ?: "");
        }
        job_finish(job, OUTCOME_ACKED, NULL, 0);
}

void handler_run(Job *job)
{
        Receiver *r = job->receiver;

        if (!r->program) {
                log_message(job);
                return;
        }
        char **environment = make_environment(job);
        ChildSpec spec = {
                        .path = r->program,
                        .arguments = r->command,
                        .environment = environment,
                        .input = job->payload,
                        .input_size = job->payload_size,
                        .output_max = REPLY_MAX,
                        .timeout_usec = r->handler_timeout_usec,
                        .report = on_report,
                        .before_exec = before_exec,
        };
        int x = environment ? child_spawn(r->loop, &spec, on_done, job, &job->child) : -ENOMEM;

        strv_free(environment);
        if (x >= 0) {
                r->jobs.cannot_run = false;
                return;
        }
        /* Out of something; said once, and when it was better meanwhile again. */
        if (!r->jobs.cannot_run)
                log_warning("Cannot run the handler: %s; messages are refused until it can", strerror(-x));
        r->jobs.cannot_run = true;
        job_answer(job, OUTCOME_BUSY);
        job_abandon(job);
}
