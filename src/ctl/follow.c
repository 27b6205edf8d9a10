/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/columns.h"
#include "ctl/messages.h"
#include "ctl/table.h"
#include "ctl/trace.h"
#include "model/selector.h"

#define ASK_AGAIN_USEC (500 * USEC_PER_MSEC)
#define QUIET_USEC                                                                                          \
        (6 * USEC_PER_SEC) /* then a person wants to know why; longer than the usual ack timeout */

typedef struct Follow {
        Ctl *c;
        const char *id;
        sd_bus_slot *events, *answer, *explanation;
        sd_event_source *timeout, *again, *interrupt, *quiet;
        bool on_bar;    /* the line of the terminal holds one */
        bool several;   /* receivers: their replies are told apart */
        char *progress; /* that was shown last, and where */
        char **working; /* receivers and attempts that were said to be at work */
        bool away;
        bool done;
        int code;
} Follow;

static int ask(Follow *f);

static void finish(Follow *f, int code)
{
        f->done = true;
        f->code = code;
}

/* One line: what, in colour, and the rest. */
static void say(const Follow *f, const char *what, const char *format, ...) _printf_(3, 4);
static void say(const Follow *f, const char *what, const char *format, ...)
{
        Style style = state_style(what);
        char text[1024];
        va_list ap;

        if (f->c->json != JSON_OFF)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        fprintf(stderr, "%s%-12s%s  %s\n", style_begin(f->c->err_colour, style), what,
                        style_end(f->c->err_colour, style), text);
}

/* "to 1@host, attempt 2: exit status 1": as far as it is known and worth a word. */
static void say_event(const Follow *f, const char *event, const char *receiver, uint32_t attempt,
                const char *detail)
{
        static const struct {
                const char *event, *preposition;
                bool over; /* an attempt is over: say which */
        } words[] = {
                        {"bound", "to ", false},
                        {"sent", "to ", false},
                        {"working", "at ", false},
                        {"no-ack", "from ", true},
                        {"failed", "at ", true},
                        {"busy", "at ", false},
                        {"disconnected", "from ", true},
                        {"cancelling", "at ", false},
                        {"giving-up", "at ", false},
                        {"member-acked", "by ", false},
                        {"member-rejected", "by ", true},
                        {"member-cancelled", "at ", false},
                        {"member-dead", "at ", true},
        };
        const char *preposition = "";
        char number[32] = "";
        bool over = false;

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (str_equal(event, words[i].event)) {
                        preposition = words[i].preposition;
                        over = words[i].over;
                }
        if (over || attempt > 1)
                (void) snprintf(number, sizeof number, ", attempt %" PRIu32, attempt);
        bool somewhere = !str_empty(receiver) && !str_empty(preposition);
        say(f, event, "%s%s%s%s%s", somewhere ? preposition : "", somewhere ? receiver : "",
                        somewhere ? number : "", somewhere && !str_empty(detail) ? ": " : "", detail);
}

#define BAR_WIDTH 30

/* It is told again and again as a sign of life. */
static bool is_new_progress(Follow *f, const char *receiver, const char *progress)
{
        char *now = str_format("%s %s", receiver, progress);

        if (now && str_equal(now, f->progress)) {
                free(now);
                return false;
        }
        free(f->progress);
        f->progress = now;
        return true;
}

/* "40 copying": a bar on a terminal, a line elsewhere. */
static void show_progress(Follow *f, const char *receiver, const char *progress)
{
        unsigned percent = (unsigned) MIN(strtoul(progress, NULL, 10), 100ul),
                 full = percent * BAR_WIDTH / 100;
        const char *text = progress + strspn(progress, "0123456789");
        char bar[BAR_WIDTH + 1], line[1024];

        if (f->c->json != JSON_OFF)
                return;
        if (!isatty(STDERR_FILENO)) {
                if (!is_new_progress(f, receiver, progress))
                        return;
                say(f, "working", "at %s: %u %%%s", receiver, percent, text);
                return;
        }
        memset(bar, ' ', BAR_WIDTH);
        memset(bar, '#', full);
        bar[BAR_WIDTH] = '\0';
        (void) snprintf(line, sizeof line, "%-12s  [%s] %3u %%%s", "working", bar, percent, text);
        fputs("\r\033[K", stderr);
        /* A line that is longer cannot be written over. */
        (void) columns_print(stderr, line, columns_of_terminal(STDERR_FILENO) - 1);
        f->on_bar = true;
        (void) fflush(stderr);
}

static void leave_bar(Follow *f)
{
        if (f->on_bar)
                fputc('\n', stderr);
        f->on_bar = false;
}

/* That it works is told once of each attempt at each receiver. */
static bool is_news(Follow *f, const char *receiver, uint32_t attempt)
{
        _cleanup_free_ char *work = str_format("%s %" PRIu32, receiver, attempt);

        for (char **known = f->working; known && *known; known++)
                if (str_equal(*known, work))
                        return false;
        return work && strv_append(&f->working, work) >= 0;
}

static int on_explained(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
        const char *why, *advice;
        Follow *f = userdata;

        f->explanation = sd_bus_slot_unref(f->explanation);
        if (sd_bus_message_is_method_error(answer, NULL) ||
                        sd_bus_message_read(answer, "ss", &why, &advice) < 0)
                return 0;
        leave_bar(f);
        say(f, "waiting", "%s", why);
        if (!str_empty(advice))
                say(f, "", "%s", advice);
        return 0;
}

/* Nothing has been heard for a while. */
static int on_quiet(sd_event_source *source, uint64_t usec, void *userdata)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        Follow *f = userdata;
        int r;

        if (f->explanation || f->away)
                return 0;
        r = bus_new_call(f->c, &call, "Explain");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", f->id);
        if (r >= 0)
                (void) sd_bus_call_async(f->c->bus, &f->explanation, call, on_explained, f, 0);
        return 0;
}

static void hear(Follow *f)
{
        if (!f->quiet)
                return;
        (void) sd_event_source_set_time_relative(f->quiet, QUIET_USEC);
        (void) sd_event_source_set_enabled(f->quiet, SD_EVENT_ONESHOT);
}

static int on_event(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        static const char *const ends[] = {"acked", "rejected", "cancelled", "dead"};
        const char *id, *event, *receiver, *detail;
        Follow *f = userdata;
        uint32_t attempt;

        if (sd_bus_message_read(signal, "ssuss", &id, &event, &attempt, &receiver, &detail) < 0 ||
                        !str_equal(id, f->id))
                return 0;
        hear(f);
        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                if (str_equal(event, ends[i]))
                        return 0; /* the answer says it, with the reply */
        if (str_equal(event, "working") && detail[0] >= '0' && detail[0] <= '9') {
                _cleanup_free_ char *shown = str_printable(detail, strlen(detail), 512);
                show_progress(f, receiver, shown ?: "0");
                return 0;
        }
        leave_bar(f);
        if (str_equal(event, "working") && !is_news(f, receiver, attempt))
                return 0;
        _cleanup_free_ char *printable = str_printable(detail, strlen(detail), 512);
        say_event(f, event, receiver, attempt, str_equal(event, "accepted") ? id : printable ?: "");
        return 0;
}

/* Who reads JSON wants the id of what goes on without him, too. */
static void print_unfinished(Follow *f)
{
        _cleanup_(cjsonp) cJSON *properties = NULL, *object = NULL;

        if (f->c->json == JSON_OFF || message_get(f->c, f->id, &properties) != 0)
                return;
        object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "id", f->id);
        cJSON_AddStringToObject(object, "state", value_string(properties, "State"));
        cJSON_AddNumberToObject(object, "attempts", value_number(properties, "Attempts"));
        cJSON_AddStringToObject(object, "receiver", value_string(properties, "ReceiverName"));
        cJSON_AddStringToObject(object, "reply", "");
        cJSON_AddStringToObject(object, "error", value_string(properties, "LastError"));
        value_print(f->c, object);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        Follow *f = userdata;
        char text[DURATION_MAX];

        leave_bar(f);
        print_unfinished(f);
        finish(f, ctl_fail(EXIT_TIMEOUT, "not done after %s; it is tried on: ackctl wait %.8s",
                                  format_duration(text, f->c->timeout_usec), f->id));
        return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
        Follow *f = userdata;
        int r;

        f->again = sd_event_source_disable_unref(f->again);
        r = ask(f);
        if (r < 0)
                finish(f, ctl_fail(EXIT_NO_SERVICE, "the bus is gone: %s", strerror(-r)));
        return 0;
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Follow *f = userdata;

        leave_bar(f);
        finish(f, ctl_fail(EXIT_INTERRUPTED,
                                  "not waiting any more; the message is tried on: ackctl wait %.8s", f->id));
        return 0;
}

/* What the client answers at the end of a message. */
typedef struct End {
        const char *state, *receiver, *problem;
        uint32_t attempts;
        const void *reply;
        size_t reply_size;
} End;

/* `replies`: as get_replies() has them, or NULL where the message was to one. */
static void print_json(const Follow *f, const End *end, cJSON *replies)
{
        _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "id", f->id);
        cJSON_AddStringToObject(object, "state", end->state);
        cJSON_AddNumberToObject(object, "attempts", end->attempts);
        cJSON_AddStringToObject(object, "receiver", end->receiver);
        cJSON_AddItemToObject(object, "reply", value_of_bytes(end->reply, end->reply_size));
        /* What an attempt failed with does not matter to one that is acked. */
        cJSON_AddStringToObject(object, "error", str_equal(end->state, "acked") ? "" : end->problem);
        if (replies)
                cJSON_AddItemReferenceToObject(object, "replies", replies);
        value_print(f->c, object);
}

/* As it is; `whole_line`: a newline where it has none. */
static void print_reply(const char *reply, size_t n, bool whole_line)
{
        (void) !fwrite(reply, 1, n, stdout);
        if (whole_line && n > 0 && reply[n - 1] != '\n')
                putchar('\n');
}

static void print_end(const Follow *f, const End *end, const cJSON *replies)
{
        _cleanup_free_ char *problem = str_printable(end->problem, strlen(end->problem), 512);
        const cJSON *r;

        if (str_equal(end->state, "acked"))
                say(f, end->state, "by %s, %" PRIu32 " attempt%s", end->receiver, end->attempts,
                                end->attempts == 1 ? "" : "s");
        else
                say(f, end->state, "%s", str_empty(problem) ? f->id : problem);
        print_reply(end->reply, end->reply_size, f->c->out_is_terminal);
        cJSON_ArrayForEach(r, replies) {
                size_t n;
                _cleanup_free_ char *reply = value_bytes(cJSON_GetObjectItemCaseSensitive(r, "reply"), &n);

                printf("%s: ", value_string(r, "receiver"));
                print_reply(reply, n, true);
        }
        (void) fflush(stdout);
}

static void wait_for_the_client(Follow *f)
{
        if (!f->away)
                say(f, "waiting", "the client is away; its messages are on disk, asking again");
        f->away = true;
        (void) sd_event_add_time_relative(
                        f->c->event, &f->again, CLOCK_BOOTTIME, ASK_AGAIN_USEC, 0, on_again, f);
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ignored)
{
        const sd_bus_error *error = sd_bus_message_get_error(answer);
        _cleanup_(cjsonp) cJSON *replies = NULL;
        Follow *f = userdata;
        End end = {};

        f->answer = sd_bus_slot_unref(f->answer);
        leave_bar(f);
        if (error && bus_is_gone(error)) {
                wait_for_the_client(f);
                return 0;
        }
        if (error) {
                finish(f, bus_explain(error));
                return 0;
        }
        if (sd_bus_message_read(answer, "sus", &end.state, &end.attempts, &end.receiver) < 0 ||
                        sd_bus_message_read_array(answer, 'y', &end.reply, &end.reply_size) < 0 ||
                        sd_bus_message_read(answer, "s", &end.problem) < 0) {
                finish(f, ctl_fail(EXIT_FAILED, "the client's answer cannot be read"));
                return 0;
        }
        if (f->several)
                (void) get_replies(f->c, f->id, &replies);
        if (f->c->json != JSON_OFF)
                print_json(f, &end, replies);
        else
                print_end(f, &end, replies);
        finish(f, str_equal(end.state, "acked") ? EXIT_OK : EXIT_NOT_ACKED);
        return 0;
}

static int ask(Follow *f)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = bus_new_call(f->c, &call, "Wait");
        if (r >= 0)
                r = sd_bus_message_append(call, "st", f->id, (uint64_t) 0);
        if (r >= 0)
                r = sd_bus_call_async(f->c->bus, &f->answer, call, on_answer, f, UINT64_MAX);
        return r;
}

static Follow follow; /* of the one message that is looked at */

int follow_prepare(Ctl *c)
{
        int r;

        if (follow.events)
                return 0;
        follow.c = c;
        r = sd_bus_match_signal(c->bus, &follow.events, BUS_NAME, BUS_PATH, MANAGER_INTERFACE,
                        "MessageEvent", on_event, &follow);
        if (r >= 0)
                r = bus_subscribe(c, NULL);
        return r < 0 ? ctl_fail(EXIT_FAILED, "cannot listen to the client: %s", strerror(-r)) : 0;
}

int follow_message(Ctl *c, const char *id, const char *mode)
{
        Follow *f = &follow;
        int r;

        f->c = c, f->id = id, f->done = f->away = false;
        f->several = selector_mode_is_whole(selector_mode_from_string(mode));
        r = ask(f);
        if (r >= 0 && c->timeout_usec > 0)
                r = sd_event_add_time(c->event, &f->timeout, CLOCK_BOOTTIME,
                                usec_add(now_usec(CLOCK_BOOTTIME), c->timeout_usec), 0, on_time, f);
        if (r >= 0)
                r = sd_event_add_signal(
                                c->event, &f->interrupt, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_interrupt, f);
        if (r >= 0 && c->json == JSON_OFF)
                r = sd_event_add_time_relative(
                                c->event, &f->quiet, CLOCK_BOOTTIME, QUIET_USEC, 0, on_quiet, f);
        while (r >= 0 && !f->done)
                r = sd_event_run(c->event, UINT64_MAX);
        f->quiet = sd_event_source_disable_unref(f->quiet);
        f->explanation = sd_bus_slot_unref(f->explanation);
        f->answer = sd_bus_slot_unref(f->answer);
        f->timeout = sd_event_source_disable_unref(f->timeout);
        f->again = sd_event_source_disable_unref(f->again);
        f->interrupt = sd_event_source_disable_unref(f->interrupt);
        f->working = strv_free(f->working);
        free_clear(&f->progress);
        f->id = NULL;
        return r < 0 ? ctl_fail(EXIT_FAILED, "cannot wait: %s", strerror(-r)) : f->code;
}
