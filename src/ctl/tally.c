/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdio_ext.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/print.h"
#include "ctl/value.h"
#include "model/message-event.h"

#define BAR_WIDTH         24u
#define REDRAW_USEC       (200 * USEC_PER_MSEC)
#define FAILURES_TOLD_MAX 20u
#define FAILURE_TEXT_MAX  200u /* bytes */
#define RETRIES_MAX       40u
#define RATE_MAX          40u

static const char *end_word(SettlementEnd end)
{
        static const MessageEvent events[_SETTLEMENT_MAX] = {
                        [SETTLEMENT_ACKED] = EVENT_ACKED,
                        [SETTLEMENT_REJECTED] = EVENT_REJECTED,
                        [SETTLEMENT_CANCELLED] = EVENT_CANCELLED,
                        [SETTLEMENT_DEAD] = EVENT_DEAD,
        };

        return message_event_to_string(events[end]);
}

uint64_t tally_settled(const Tally *t)
{
        uint64_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(t->ends); i++)
                n += t->ends[i];
        return n;
}

/* Lines whose wait is over. */
static uint64_t done(const Tally *t)
{
        return t->c->no_wait ? t->accepted : tally_settled(t);
}

uint64_t tally_waiting(const Tally *t)
{
        return t->submitted - t->refused - done(t);
}

static double seconds_since_start(const Tally *t, uint64_t now_usec)
{
        return (double) (now_usec - t->started_usec) / (double) USEC_PER_SEC;
}

/* ", 5230/s", ", 2.5/s", ", 12/min"; "" if nothing is done yet. */
static const char *format_rate(const Tally *t, double seconds, char buffer[static RATE_MAX])
{
        double rate = seconds > 0 ? (double) done(t) / seconds : 0;

        buffer[0] = '\0';
        if (rate >= 1)
                (void) snprintf(buffer, RATE_MAX, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
        else if (rate > 0)
                (void) snprintf(buffer, RATE_MAX, rate * 60 < 10 ? ", %.1f/min" : ", %.0f/min", rate * 60);
        return buffer;
}

static const char *format_retries(const Tally *t, char buffer[static RETRIES_MAX])
{
        buffer[0] = '\0';
        if (!t->several)
                (void) snprintf(buffer, RETRIES_MAX, ", %" PRIu64 " retried", t->retried);
        return buffer;
}

void tally_hide_bar(Tally *t)
{
        bar_erase(&t->bar);
}

/* The part of the input that is done, from 0 to 1; 0 if the size of the input is not known. */
static double done_part(const Tally *t)
{
        if (t->input_size == 0 || t->submitted == 0)
                return 0;
        return (double) t->input_read / (double) t->input_size * (double) done(t) / (double) t->submitted;
}

void tally_show_bar(Tally *t, uint64_t now_usec)
{
        double seconds = seconds_since_start(t, now_usec), part = done_part(t);
        char bar[BAR_WIDTH + 1], portion[BAR_WIDTH + 16] = "", left[DURATION_MAX] = "", retries[RETRIES_MAX],
                                                     rate[RATE_MAX], line[256];

        if (!t->c->err_is_terminal || t->c->json != JSON_OFF || now_usec - t->shown_usec < REDRAW_USEC)
                return;
        t->shown_usec = now_usec;
        if (t->input_size > 0)
                (void) snprintf(portion, sizeof portion, "[%s] %3.0f %%  ", bar_draw(bar, BAR_WIDTH, part),
                                part * 100);
        if (part > 0.001)
                (void) format_duration(left, (uint64_t) (seconds * (1 - part) / part) * USEC_PER_SEC);
        (void) snprintf(line, sizeof line, "%s%" PRIu64 " %s, %" PRIu64 " waiting%s%s%s%s", portion, done(t),
                        t->c->no_wait ? "accepted" : "done", tally_waiting(t), format_retries(t, retries),
                        format_rate(t, seconds, rate), left[0] ? ", left: " : "", left);
        bar_show(&t->bar, line);
}

static void tell_failure(Tally *t, uint64_t line, const char *what, Bytes why)
{
        _cleanup_free_ char *text = str_printable(why.data, why.size, FAILURE_TEXT_MAX);

        if (t->c->json != JSON_OFF || ++t->failures_told > FAILURES_TOLD_MAX)
                return;
        tally_hide_bar(t);
        (void) ctl_fail(EXIT_FAILED, "line %" PRIu64 ": %s%s%s", line, what, str_empty(text) ? "" : ": ",
                        text ?: "");
}

/* After each print. A signal that interrupts a write says that the reader hangs, and that the person does
 * not want to wait for it. */
static void check_output(Tally *t)
{
        if (!ferror(stdout) || errno != EINTR)
                return;
        t->output_hangs = true;
        __fpurge(stdout);
}

static void print_object(Tally *t, const cJSON *object)
{
        if (t->output_hangs)
                return;
        value_print(t->c, object);
        check_output(t);
}

static void print_id(Tally *t, sd_id128_t id)
{
        char text[SD_ID128_UUID_STRING_MAX];

        if (t->output_hangs)
                return;
        puts(sd_id128_to_uuid_string(id, text));
        check_output(t);
}

/* NULL as `id`: not known. 0 as `attempts`: omitted. */
static cJSON *describe(uint64_t line, const sd_id128_t *id, const char *end, uint32_t attempts,
                const char *data_name, Bytes data)
{
        char text[SD_ID128_UUID_STRING_MAX];
        cJSON *object = cJSON_CreateObject();

        cJSON_AddNumberToObject(object, "line", (double) line);
        if (id)
                cJSON_AddStringToObject(object, "id", sd_id128_to_uuid_string(*id, text));
        cJSON_AddStringToObject(object, "end", end);
        if (attempts > 0)
                cJSON_AddNumberToObject(object, "attempts", attempts);
        if (data.size > 0)
                cJSON_AddItemToObject(object, data_name, value_of_bytes(data.data, data.size));
        return object;
}

static void print_json(Tally *t, uint64_t line, const sd_id128_t *id, const char *end, Bytes error)
{
        _cleanup_(cjsonp) cJSON *object = describe(line, id, end, 0, "error", error);

        print_object(t, object);
}

void tally_accepted(Tally *t, uint64_t line, sd_id128_t id)
{
        t->accepted++;
        if (!t->c->no_wait)
                return;
        if (t->c->json == JSON_OFF)
                print_id(t, id);
        else
                print_json(t, line, &id, message_event_to_string(EVENT_ACCEPTED), (Bytes){});
}

void tally_refused(Tally *t, uint64_t line, Bytes why)
{
        t->refused++;
        if (t->c->json != JSON_OFF)
                print_json(t, line, NULL, "refused", why);
        tell_failure(t, line, "refused", why);
}

static void print_settlement(Tally *t, const SettlementFrame *f, const sd_id128_t *id)
{
        _cleanup_(cjsonp) cJSON *object = describe(f->number, id, end_word(f->end), f->attempts,
                        f->end == SETTLEMENT_ACKED ? "reply" : "error", f->data);

        if (f->cut)
                cJSON_AddBoolToObject(object, "reply_cut", true);
        print_object(t, object);
}

void tally_settlement(Tally *t, const SettlementFrame *f, const sd_id128_t *id)
{
        t->ends[f->end]++;
        t->cut += f->cut;
        t->retried += f->attempts > 1 ? f->attempts - 1 : 0;
        if (t->c->json != JSON_OFF)
                print_settlement(t, f, id);
        else if (f->end != SETTLEMENT_ACKED)
                tell_failure(t, f->number, end_word(f->end), f->data);
}

static void print_totals_json(Tally *t, double seconds)
{
        _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();

        cJSON_AddNumberToObject(object, "lines", (double) t->submitted);
        cJSON_AddNumberToObject(object, "accepted", (double) t->accepted);
        for (SettlementEnd end = SETTLEMENT_ACKED; end < _SETTLEMENT_MAX; end++)
                cJSON_AddNumberToObject(object, end_word(end), (double) t->ends[end]);
        cJSON_AddNumberToObject(object, "replies_cut", (double) t->cut);
        cJSON_AddNumberToObject(object, "refused", (double) t->refused);
        cJSON_AddNumberToObject(object, "waiting", (double) tally_waiting(t));
        if (!t->several)
                cJSON_AddNumberToObject(object, "retried", (double) t->retried);
        cJSON_AddNumberToObject(object, "seconds", seconds);
        print_object(t, object);
}

/* "3 lines: 2 acked, 1 rejected, 0 retried in 0.1s, 30/s" */
static void print_totals(const Tally *t, double seconds)
{
        char retries[RETRIES_MAX], rate[RATE_MAX];

        fprintf(stderr, "%" PRIu64 " lines: ", t->submitted);
        if (t->c->no_wait)
                fprintf(stderr, "%" PRIu64 " accepted", t->accepted);
        else
                fprintf(stderr, "%" PRIu64 " acked", t->ends[SETTLEMENT_ACKED]);
        if (t->cut > 0)
                fprintf(stderr, " (%" PRIu64 " with a cut reply)", t->cut);
        for (SettlementEnd end = SETTLEMENT_REJECTED; end < _SETTLEMENT_MAX && !t->c->no_wait; end++)
                if (t->ends[end] > 0)
                        fprintf(stderr, ", %" PRIu64 " %s", t->ends[end], end_word(end));
        if (t->refused > 0)
                fprintf(stderr, ", %" PRIu64 " refused", t->refused);
        if (tally_waiting(t) > 0)
                fprintf(stderr, ", %" PRIu64 " waiting", tally_waiting(t));
        fprintf(stderr, "%s in %.1fs%s\n", format_retries(t, retries), seconds,
                        format_rate(t, seconds, rate));
}

void tally_show_totals(Tally *t, uint64_t now_usec)
{
        double seconds = seconds_since_start(t, now_usec);

        tally_hide_bar(t);
        if (t->c->json != JSON_OFF) {
                print_totals_json(t, seconds);
                return;
        }
        if (t->failures_told > FAILURES_TOLD_MAX)
                fprintf(stderr, "ackctl: … and %" PRIu64 " more lines\n",
                                t->failures_told - FAILURES_TOLD_MAX);
        if (!t->c->no_legend)
                print_totals(t, seconds);
}
