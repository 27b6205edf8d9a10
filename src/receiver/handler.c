/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/handler.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "base/log-limit.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/str-util.h"
#include "receiver/working.h"
#include "runtime/executable.h"
#include "runtime/journal.h"

#define ODD_REPORTS_MAX 3u    /* of one run that are logged */
#define SAID_MAX        400u  /* bytes of the last line on standard error that become a part of the reason */
#define LOGGED_MAX      1000u /* bytes of a message that the built-in handler shows */

/* Variables that systemd or the receiver sets for the receiver alone. */
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

static int copy_environment(char ***ret)
{
        for (char **e = environ; *e; e++)
                if (!is_private(*e) && strv_append(ret, *e) < 0)
                        return -ENOMEM;
        return 0;
}

/* No retry can heal that, but a person can. */
static int refuse_program(const char *name, int e, Error *error)
{
        _cleanup_free_ char *why = executable_explain(name, e);

        return error_set(error, e == ENOMEM ? -ENOMEM : -EINVAL, "cannot run the handler %s", why ?: name);
}

/* *ret: NULL without a command. */
static int find_program(char *const *command, char **ret, Error *error)
{
        *ret = NULL;
        if (!command || !command[0])
                return 0;
        int r = child_find_program(command[0], ret);
        return r < 0 ? refuse_program(command[0], -r, error) : 0;
}

int handler_check(char *const *command, Error *error)
{
        _cleanup_free_ char *program = NULL;

        return find_program(command, &program, error);
}

int handler_load(Handler *h, char *const *command, Error *error)
{
        _cleanup_(strv_freep) char **environment = NULL;
        _cleanup_free_ char *program = NULL;
        int r;

        r = find_program(command, &program, error);
        if (r >= 0 && program)
                r = copy_environment(&environment);
        if (r < 0)
                return r;
        handler_clear(h);
        h->program = TAKE_PTR(program);
        h->is_local = h->program && executable_is_local(h->program);
        h->environment = TAKE_PTR(environment);
        return 0;
}

void handler_clear(Handler *h)
{
        free_clear(&h->program);
        h->environment = strv_free(h->environment);
}

/* The environment of one run: ours, and the facts of the message. */
static char **make_environment(const Handler *h, const Job *job)
{
        char id[SD_ID128_UUID_STRING_MAX], *variables[10];
        char **e = strv_copy(h->environment);
        size_t n = 0;

        variables[n++] = str_format("ACKGROUP_MESSAGE=%s", sd_id128_to_uuid_string(job->message, id));
        variables[n++] = str_format("ACKGROUP_SENDER=%s", sd_id128_to_uuid_string(job->sender, id));
        variables[n++] = str_format("ACKGROUP_SENDER_NAME=%s", job->sender_name);
        variables[n++] = str_format("ACKGROUP_STREAM=%s", sd_id128_to_uuid_string(job->key.stream, id));
        variables[n++] = str_format("ACKGROUP_SEQUENCE=%llu", (unsigned long long) job->key.sequence);
        variables[n++] = str_format("ACKGROUP_ATTEMPT=%u", job->attempt);
        variables[n++] = str_format("ACKGROUP_RECEIVER=%s", sd_id128_to_uuid_string(h->info->id, id));
        variables[n++] = str_format("ACKGROUP_RECEIVER_NAME=%s", h->info->name);
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

/* Statuses of sysexits.h for which another attempt would fail as well. */
static bool means_rejected(int status)
{
        static const int statuses[] = {EX_DATAERR, EX_NOUSER, EX_NOHOST, EX_PROTOCOL, EX_NOPERM};

        for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
                if (status == statuses[i])
                        return true;
        return false;
}

/* A line that is no report. A handler may write thousands of them: the first ones show what is wrong. */
static void report_odd(Job *job, const char *format, const char *rest)
{
        char id[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *text = str_printable(rest, strlen(rest), LOGGED_MAX);

        if (job->n_odd++ < ODD_REPORTS_MAX)
                log_warning("Message %s: %s: %s", sd_id128_to_uuid_string(job->message, id), format,
                                text ?: "");
}

static void report_progress(Job *job, const char *rest)
{
        size_t digits = strspn(rest, "0123456789");
        _cleanup_free_ char *number = strndup(rest, digits);
        unsigned percent;

        if (!number || parse_unsigned(number, 0, 100, &percent) < 0 ||
                        (rest[digits] && rest[digits] != ' ')) {
                report_odd(job, "the handler's progress is not \"progress PERCENT TEXT\"", rest);
                return;
        }
        free(job->progress);
        job->progress = str_printable(rest, strlen(rest), ERROR_TEXT_MAX);
        working_progress(job);
}

static void report_retry(Job *job, const char *rest)
{
        uint64_t usec;

        if (parse_duration(rest, &usec) < 0)
                report_odd(job, "the handler asks for a retry after what is not a time", rest);
        else if (usec > RETRY_DELAY_MAX_USEC)
                report_odd(job, "the handler asks for a retry after more than " RETRY_DELAY_MAX_TEXT, rest);
        else
                job->retry_usec = usec;
}

/* One line that a handler writes to its descriptor for reports. */
static void on_report(const char *line, void *userdata)
{
        Job *job = userdata;
        const char *rest;

        if ((rest = str_after_prefix(line, "progress ")))
                report_progress(job, rest);
        else if ((rest = str_after_prefix(line, "retry ")))
                report_retry(job, rest);
        else if ((rest = str_after_prefix(line, "error "))) {
                free(job->reason);
                job->reason = str_printable(rest, strlen(rest), ERROR_TEXT_MAX);
        } else
                report_odd(job, "the handler reports something other than progress, retry or error", line);
}

/* One line on the standard error of a handler. */
static void on_error_line(const char *line, void *userdata)
{
        Job *job = userdata;
        char id[SD_ID128_UUID_STRING_MAX];
        const JournalFields fields = {
                        .message = sd_id128_to_uuid_string(job->message, id),
                        .receiver = job->handler->info->name,
                        .attempt = job->attempt,
        };

        line = journal_text(&fields, line);
        if (line[strspn(line, " \t")] == '\0')
                return;
        free(job->said);
        job->said = str_printable(line, strlen(line), SAID_MAX);
}

static void tell_odd(const Job *job)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (job->n_odd > ODD_REPORTS_MAX)
                log_warning("Message %s: and %u more lines of its handler that are no reports",
                                sd_id128_to_uuid_string(job->message, id), job->n_odd - ODD_REPORTS_MAX);
}

/* With what it said last: that is often why. */
static char *add_said(const Job *job, char *text)
{
        char *longer = text && job->said ? str_format("%s: %s", text, job->said) : NULL;

        if (!longer)
                return text;
        free(text);
        return longer;
}

static char *describe(const Job *job, const ChildResult *result)
{
        char limit[DURATION_MAX];

        if (result->timed_out)
                return add_said(job,
                                str_format("time limit of %s",
                                                format_duration(limit,
                                                                job->handler->config
                                                                                ->handler_timeout_usec)));
        if (job->reason)
                return strdup(job->reason);
        if (result->error) {
                _cleanup_free_ char *why = executable_explain(job->handler->program, result->error);
                return str_format("cannot run %s", why ?: job->handler->program);
        }
        if (WIFSIGNALED(result->status))
                return add_said(job, str_format("handler killed by signal %d", WTERMSIG(result->status)));
        return add_said(job, str_format("handler exited with status %d", WEXITSTATUS(result->status)));
}

static HandlerEnd judge(const Job *job, const ChildResult *result)
{
        const bool killed = WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGKILL;
        const int status = WIFEXITED(result->status) ? WEXITSTATUS(result->status) : -1;

        if (job->abandoned && killed)
                return HANDLER_ABANDONED;
        if (job->cancelled && killed)
                return HANDLER_CANCELLED;
        if (status == 0)
                return HANDLER_ACKED;
        return means_rejected(status) ? HANDLER_REJECTED : HANDLER_FAILED;
}

/* The handler has succeeded, so the message is acked, even if there was no memory for all of the reply. */
static void tell_cut(const Job *job, const ChildResult *result)
{
        char id[SD_ID128_UUID_STRING_MAX];

        (void) sd_id128_to_uuid_string(job->message, id);
        journal_line(LOG_WARNING,
                        &(JournalFields){.message = id,
                                        .receiver = job->handler->info->name,
                                        .attempt = job->attempt},
                        "The reply to message %s is cut to %zu bytes%s", id, result->output_size,
                        result->too_long ? " (MaxReply=)" : ": out of memory");
}

static uint8_t *take_reply(Job *job, const ChildResult *result, size_t *ret_size)
{
        job->cut = result->cut;
        if (job->cut)
                tell_cut(job, result);
        *ret_size = result->output_size;
        return child_take_output(job->child);
}

/* The handler would write as much again, so no retry helps. */
static uint8_t *refuse_reply(size_t max, size_t *ret_size)
{
        char *why = str_format("the reply is longer than %zu bytes (MaxReply=)", max);

        *ret_size = why ? strlen(why) : 0;
        return (uint8_t *) why;
}

static void on_done(const ChildResult *result, void *userdata)
{
        Job *job = userdata;
        Handler *h = job->handler;
        HandlerEnd end = judge(job, result);
        uint8_t *data = NULL;
        size_t size = 0;

        runs_end(job->jobs->runs, job->run);
        job->run = NULL;
        tell_odd(job);
        if (end == HANDLER_ACKED && result->too_long && h->config->reject_long_reply) {
                end = HANDLER_REJECTED;
                data = refuse_reply(result->output_size, &size);
        } else if (end == HANDLER_ACKED)
                data = take_reply(job, result, &size);
        else if (end == HANDLER_REJECTED || end == HANDLER_FAILED) {
                data = (uint8_t *) describe(job, result);
                size = data ? strlen((char *) data) : 0;
        }
        job->child = NULL;
        h->done(job, end, data, size, h->userdata);
}

static void log_message(const Job *job)
{
        if (log_get_level() < LOG_INFO)
                return;
        LogKind *k = log_admit(LOG_INFO, "says", LOG_ROUTINE_MAX);
        if (!k)
                return;
        _cleanup_free_ char *text = str_printable(job->payload, job->payload_size, LOGGED_MAX);
        _cleanup_free_ char *line = str_format("%s says: %s", job->sender_name, text ?: "");
        log_admitted(k, LOG_INFO, line ?: "");
}

/* Plain text has no identity: nobody would recognize it after a death. */
static void note_run(Job *job)
{
        const Run run = {
                        .stream = job->key.stream,
                        .message = job->message,
                        .sequence = job->key.sequence,
                        .attempt = job->attempt,
        };

        if (job->entry)
                job->run = runs_begin(job->jobs->runs, &run);
}

int handler_run(Handler *h, Job *job)
{
        if (!h->program) {
                log_message(job);
                return 1;
        }
        _cleanup_(strv_freep) char **environment = make_environment(h, job);
        ChildSpec spec = {
                        .warden = h->warden,
                        .path = h->program,
                        .is_local = h->is_local,
                        .arguments = h->config->command,
                        .environment = environment,
                        .input = job->payload,
                        .input_size = job->payload_size,
                        .output_max = h->config->max_reply,
                        .timeout_usec = h->config->handler_timeout_usec,
                        .report = on_report,
                        .error_line = on_error_line,
        };

        job->handler = h;
        note_run(job);
        int r = environment ? child_spawn(h->loop, &spec, on_done, job, &job->child) : -ENOMEM;
        /* Out of memory, processes or descriptors: logged once, and again only after a run was possible. */
        if (r < 0 && !h->cannot_run)
                log_warning("Cannot run the handler: %s; messages are answered busy until it runs",
                                strerror(-r));
        h->cannot_run = r < 0;
        if (r < 0) {
                runs_not_begun(job->jobs->runs, job->run);
                job->run = NULL;
        }
        return r < 0 ? r : 0;
}
