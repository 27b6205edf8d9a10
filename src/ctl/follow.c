/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/follow.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/steps.h"
#include "model/delivery.h"
#include "model/selector.h"

#define ASK_AGAIN_USEC (500 * USEC_PER_MSEC)
/* After this time without an event, ackctl asks why and prints the reason. It is longer than the default ack
 * timeout. */
#define QUIET_USEC      (6 * USEC_PER_SEC)
#define ERROR_SHOWN_MAX 512u /* bytes */

struct Follow {
        Ctl *c;
        sd_bus_slot *events;

        /* The fields below belong to the present message; forget() clears them. */
        const char *id;
        bool several; /* it has several receivers: print the replies with their names */
        Steps steps;
        sd_bus_slot *answer, *explanation; /* calls in progress */
        sd_event_source *timeout, *again, *interrupt, *quiet;
        bool away;  /* the client does not answer */
        bool older; /* it does not know WaitForEnd */
        bool done;
        int code;
};

static void finish(Follow *f, int code)
{
        f->done = true;
        f->code = code;
}

static int on_explained(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
        const char *why, *advice;
        Follow *f = userdata;

        f->explanation = sd_bus_slot_unref(f->explanation);
        if (sd_bus_message_is_method_error(answer, NULL) ||
                        sd_bus_message_read(answer, "ss", &why, &advice) < 0)
                return 0;
        steps_end_bar(&f->steps);
        steps_say(&f->steps, "waiting", "%s", why);
        if (!str_empty(advice))
                steps_say(&f->steps, "", "%s", advice);
        return 0;
}

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

static void restart_quiet_timer(Follow *f)
{
        if (!f->quiet)
                return;
        (void) sd_event_source_set_time_relative(f->quiet, QUIET_USEC);
        (void) sd_event_source_set_enabled(f->quiet, SD_EVENT_ONESHOT);
}

static int on_event(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        const char *id, *event, *receiver, *detail;
        Follow *f = userdata;
        uint32_t attempt;

        if (sd_bus_message_read(signal, "ssuss", &id, &event, &attempt, &receiver, &detail) < 0 || !f->id ||
                        !str_equal(id, f->id))
                return 0;
        restart_quiet_timer(f);
        steps_event(&f->steps, id, event, attempt, receiver, detail);
        return 0;
}

/* With --json it prints a message that is not done yet too, so the user learns its id. */
static void print_unfinished(Follow *f)
{
        _cleanup_(cjsonp) cJSON *properties = NULL, *object = NULL;

        if (f->c->json == JSON_OFF || query_message(f->c, f->id, &properties) != 0)
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

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Follow *f = userdata;
        char text[DURATION_MAX];

        steps_end_bar(&f->steps);
        print_unfinished(f);
        finish(f, ctl_fail(EXIT_TIMEOUT, "not done after %s; delivery goes on: ackctl wait %.8s",
                                  format_duration(text, f->c->timeout_usec), f->id));
        return 0;
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Follow *f = userdata;

        steps_end_bar(&f->steps);
        finish(f, ctl_fail(EXIT_INTERRUPTED, "interrupted; delivery goes on: ackctl wait %.8s", f->id));
        return 0;
}

/* The answer of WaitForEnd, or of Wait, which says the same in order. */
static cJSON *read_end(const Follow *f, sd_bus_message *answer)
{
        static const char *const fields[] = {"state", "attempts", "receiver", "reply", "error"};
        cJSON *end = f->older ? cJSON_CreateObject() : value_read(answer);

        for (size_t i = 0; f->older && i < ELEMENTSOF(fields); i++)
                cJSON_AddItemToObject(end, fields[i], value_read(answer));
        return end;
}

static bool is_acked(const cJSON *end)
{
        return delivery_state_from_string(value_string(end, "state")) == DELIVERY_ACKED;
}

/* `end`: from read_end(). `replies`: from query_replies(); NULL for a message to one receiver. */
static void print_json(const Follow *f, const cJSON *end, cJSON *replies)
{
        static const char *const fields[] = {"state", "attempts", "receiver", "reply", "reply_cut"};
        _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "id", f->id);
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                cJSON_AddItemToObject(object, fields[i],
                                cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(end, fields[i]), true));
        /* An acked message may still have the error of an earlier attempt. Do not print it. */
        cJSON_AddStringToObject(object, "error", is_acked(end) ? "" : value_string(end, "error"));
        if (replies)
                cJSON_AddItemReferenceToObject(object, "replies", replies);
        value_print(f->c, object);
}

/* Prints the bytes unchanged. `whole_line`: adds a newline if the reply does not end with one. Returns the
 * number of bytes. */
static size_t print_reply(const cJSON *from, bool whole_line)
{
        size_t n;
        _cleanup_free_ char *reply = value_bytes(cJSON_GetObjectItemCaseSensitive(from, "reply"), &n);

        (void) !fwrite(reply, 1, n, stdout);
        if (whole_line && n > 0 && reply[n - 1] != '\n')
                putchar('\n');
        return n;
}

static void print_replies(Follow *f, const cJSON *end, const cJSON *replies)
{
        size_t n = print_reply(end, f->c->out_is_terminal);
        const cJSON *r;

        if (value_flag(end, "reply_cut"))
                steps_say(&f->steps, "cut", "the reply is cut to %zu bytes; the rest is lost", n);
        cJSON_ArrayForEach(r, replies) {
                printf("%s: ", value_string(r, "receiver"));
                n = print_reply(r, true);
                if (value_flag(r, "reply_cut"))
                        steps_say(&f->steps, "cut", "the reply of %s is cut to %zu bytes; the rest is lost",
                                        value_string(r, "receiver"), n);
        }
        (void) fflush(stdout);
}

static void print_end(Follow *f, const cJSON *end, const cJSON *replies)
{
        const char *state = value_string(end, "state"), *error = value_string(end, "error");
        _cleanup_free_ char *problem = str_printable(error, strlen(error), ERROR_SHOWN_MAX);
        const uint32_t attempts = (uint32_t) value_number(end, "attempts");

        if (is_acked(end))
                steps_say(&f->steps, state, "by %s, %" PRIu32 " attempt%s", value_string(end, "receiver"),
                                attempts, attempts == 1 ? "" : "s");
        else
                steps_say(&f->steps, state, "%s", str_empty(problem) ? f->id : problem);
        print_replies(f, end, replies);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata);

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ignored)
{
        const sd_bus_error *error = sd_bus_message_get_error(answer);
        _cleanup_(cjsonp) cJSON *replies = NULL, *end = NULL;
        Follow *f = userdata;

        f->answer = sd_bus_slot_unref(f->answer);
        steps_end_bar(&f->steps);
        if (error && bus_is_gone(error)) {
                if (!f->away)
                        steps_say(&f->steps, "waiting",
                                        "the client does not run; the message is on its disk; asking again");
                f->away = true;
                (void) sd_event_add_time_relative(
                                f->c->event, &f->again, CLOCK_BOOTTIME, ASK_AGAIN_USEC, 0, on_again, f);
                return 0;
        }
        if (error && !f->older && sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD)) {
                f->older = true;
                return on_again(NULL, 0, f);
        }
        if (!error)
                end = read_end(f, answer);
        if (!cJSON_GetObjectItemCaseSensitive(end, "state")) {
                finish(f, error ? bus_explain(f->c, error) : bus_bad_answer());
                return 0;
        }
        if (f->several)
                (void) query_replies(f->c, f->id, &replies);
        if (f->c->json != JSON_OFF)
                print_json(f, end, replies);
        else
                print_end(f, end, replies);
        finish(f, is_acked(end) ? EXIT_OK : EXIT_NOT_ACKED);
        return 0;
}

/* Calls WaitForEnd. The reply comes when the message is final. Returns 0 or negative errno. */
static int ask(Follow *f)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = bus_new_call(f->c, &call, f->older ? "Wait" : "WaitForEnd");
        if (r >= 0)
                r = sd_bus_message_append(call, "st", f->id, (uint64_t) 0);
        if (r >= 0)
                r = sd_bus_call_async(f->c->bus, &f->answer, call, on_answer, f, UINT64_MAX);
        return r;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
        Follow *f = userdata;
        int r;

        f->again = sd_event_source_disable_unref(f->again);
        r = ask(f);
        if (r < 0)
                finish(f, ctl_fail(EXIT_NO_SERVICE, "lost the connection to the bus: %s", strerror(-r)));
        return 0;
}

int follow_new(Ctl *c, Follow **ret)
{
        _cleanup_(follow_freep) Follow *f = calloc(1, sizeof *f);
        int r;

        if (!f)
                return ctl_fail(EXIT_FAILED, "out of memory");
        f->c = c;
        f->steps.c = c;
        r = sd_bus_match_signal(c->bus, &f->events, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, "MessageEvent",
                        on_event, f);
        if (r >= 0)
                r = bus_subscribe(c, NULL);
        if (r < 0)
                return ctl_fail(EXIT_FAILED, "cannot listen to the client: %s", strerror(-r));
        *ret = TAKE_PTR(f);
        return 0;
}

/* Clears the fields of the present message. */
static void forget(Follow *f)
{
        f->quiet = sd_event_source_disable_unref(f->quiet);
        f->timeout = sd_event_source_disable_unref(f->timeout);
        f->again = sd_event_source_disable_unref(f->again);
        f->interrupt = sd_event_source_disable_unref(f->interrupt);
        f->explanation = sd_bus_slot_unref(f->explanation);
        f->answer = sd_bus_slot_unref(f->answer);
        steps_clear(&f->steps);
        f->id = NULL;
        f->done = f->away = false;
}

Follow *follow_free(Follow *f)
{
        if (!f)
                return NULL;
        forget(f);
        sd_bus_slot_unref(f->events);
        free(f);
        return NULL;
}

static int add_timers(Follow *f)
{
        sd_event *event = f->c->event;
        int r = 0;

        if (f->c->timeout_usec > 0)
                r = sd_event_add_time(event, &f->timeout, CLOCK_BOOTTIME,
                                usec_add(now_usec(CLOCK_BOOTTIME), f->c->timeout_usec), 0, on_timeout, f);
        if (r >= 0)
                r = sd_event_add_signal(
                                event, &f->interrupt, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_interrupt, f);
        if (r >= 0 && f->c->json == JSON_OFF)
                r = sd_event_add_time_relative(event, &f->quiet, CLOCK_BOOTTIME, QUIET_USEC, 0, on_quiet, f);
        return r;
}

int follow_message(Follow *f, const char *id, const char *mode)
{
        int r, code;

        f->id = id;
        f->several = selector_mode_is_fanout(selector_mode_from_string(mode));
        r = ask(f);
        if (r >= 0)
                r = add_timers(f);
        while (r >= 0 && !f->done)
                r = sd_event_run(f->c->event, UINT64_MAX);
        code = r < 0 ? ctl_fail(EXIT_FAILED, "cannot wait: %s", strerror(-r)) : f->code;
        forget(f);
        return code;
}
