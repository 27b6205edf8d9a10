/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/steps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "ctl/print.h"
#include "model/message-event.h"

#define BAR_WIDTH  30u
#define DETAIL_MAX 512u /* bytes of a detail that are printed */
#define LINE_SIZE  1024u

void steps_clear(Steps *s)
{
        free_clear(&s->progress);
        s->working = strv_free(s->working);
}

void steps_end_bar(Steps *s)
{
        bar_keep(&s->bar);
}

void steps_say(Steps *s, const char *word, const char *format, ...)
{
        Style style = style_of_word(word);
        bool colour = s->c->err_colour;
        char text[LINE_SIZE];
        va_list ap;

        if (s->c->json != JSON_OFF)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        /* One write: other programs may write to the same file. */
        fprintf(stderr, "%s%-12s%s  %s\n", style_begin(colour, style), word, style_end(colour, style), text);
}

/* The word before the receiver in the line of an event. Events without an entry do not name the receiver. */
static const struct {
        const char *preposition;
        bool attempt_over; /* print the number even of the first attempt */
} receiver_words[_MESSAGE_EVENT_MAX] = {
                [EVENT_BOUND] = {"to", false},
                [EVENT_SENT] = {"to", false},
                [EVENT_WORKING] = {"at", false},
                [EVENT_NO_ACK] = {"from", true},
                [EVENT_FAILED] = {"at", true},
                [EVENT_BUSY] = {"at", false},
                [EVENT_DISCONNECTED] = {"from", true},
                [EVENT_CANCELLING] = {"at", false},
                [EVENT_GIVING_UP] = {"at", false},
                [EVENT_MEMBER_ACKED] = {"by", false},
                [EVENT_MEMBER_REJECTED] = {"by", true},
                [EVENT_MEMBER_CANCELLED] = {"at", false},
                [EVENT_MEMBER_DEAD] = {"at", true},
};

/* "no-ack       from 1@host, attempt 2: exit status 1" */
static void say_event(Steps *s, const char *word, int event, const char *receiver, uint32_t attempt,
                const char *detail)
{
        const char *preposition = event >= 0 ? receiver_words[event].preposition : NULL;
        char number[32] = "";

        if (!preposition || str_empty(receiver)) {
                steps_say(s, word, "%s", detail);
                return;
        }
        if (receiver_words[event].attempt_over || attempt > 1)
                (void) snprintf(number, sizeof number, ", attempt %" PRIu32, attempt);
        steps_say(s, word, "%s %s%s%s%s", preposition, receiver, number, str_empty(detail) ? "" : ": ",
                        detail);
}

/* False if the progress is the same as before. Receivers repeat it to show that they are alive. */
static bool is_new_progress(Steps *s, const char *receiver, const char *progress)
{
        char *now = str_format("%s %s", receiver, progress);

        if (now && str_equal(now, s->progress)) {
                free(now);
                return false;
        }
        free(s->progress);
        s->progress = now;
        return true;
}

/* `progress` is "40 copying": a bar on a terminal, a line elsewhere. */
static void show_progress(Steps *s, const char *receiver, const char *progress)
{
        unsigned percent = (unsigned) MIN(strtoul(progress, NULL, 10), 100ul);
        const char *text = progress + strspn(progress, "0123456789");
        char bar[BAR_WIDTH + 1], line[LINE_SIZE];

        if (s->c->json != JSON_OFF)
                return;
        if (s->c->err_is_terminal) {
                (void) snprintf(line, sizeof line, "%-12s  [%s] %3u %%%s", "working",
                                bar_draw(bar, BAR_WIDTH, percent / 100.0), percent, text);
                bar_show(&s->bar, line);
        } else if (is_new_progress(s, receiver, progress))
                steps_say(s, "working", "at %s: %u %%%s", receiver, percent, text);
}

/* True for the first "working" of an attempt at a receiver. Only the first one is printed. */
static bool is_new_work(Steps *s, const char *receiver, uint32_t attempt)
{
        _cleanup_free_ char *work = str_format("%s %" PRIu32, receiver, attempt);

        for (char **known = s->working; known && *known; known++)
                if (str_equal(*known, work))
                        return false;
        return work && strv_append(&s->working, work) >= 0;
}

void steps_event(Steps *s, const char *id, const char *event, uint32_t attempt, const char *receiver,
                const char *detail)
{
        _cleanup_free_ char *shown = str_printable(detail, strlen(detail), DETAIL_MAX);
        int known = message_event_from_string(event);

        if (!shown || (known >= 0 && message_event_is_final(known)))
                return;
        if (known == EVENT_WORKING && detail[0] >= '0' && detail[0] <= '9') {
                show_progress(s, receiver, shown);
                return;
        }
        steps_end_bar(s);
        if (known == EVENT_WORKING && !is_new_work(s, receiver, attempt))
                return;
        say_event(s, event, known, receiver, attempt, known == EVENT_ACCEPTED ? id : shown);
}
