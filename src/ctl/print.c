/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "model/message-event.h"

const char *style_begin(bool colour, Style style)
{
        static const char *const codes[_STYLE_MAX] = {
                        [STYLE_GOOD] = "\033[32m",
                        [STYLE_BAD] = "\033[31m",
                        [STYLE_WARN] = "\033[33m",
                        [STYLE_DIM] = "\033[2m",
                        [STYLE_BOLD] = "\033[1m",
        };

        return colour && codes[style] ? codes[style] : "";
}

const char *style_end(bool colour, Style style)
{
        return colour && style != STYLE_NONE ? "\033[0m" : "";
}

static const Style event_styles[_MESSAGE_EVENT_MAX] = {
                [EVENT_ACKED] = STYLE_GOOD,
                [EVENT_REJECTED] = STYLE_BAD,
                [EVENT_DEAD] = STYLE_BAD,
                [EVENT_CANCELLED] = STYLE_WARN,
                [EVENT_MEMBER_ACKED] = STYLE_GOOD,
                [EVENT_MEMBER_REJECTED] = STYLE_BAD,
                [EVENT_MEMBER_DEAD] = STYLE_BAD,
                [EVENT_CONFLICT] = STYLE_BAD,
                [EVENT_GIVING_UP] = STYLE_WARN,
                [EVENT_CANCELLING] = STYLE_WARN,
                [EVENT_MOVED] = STYLE_WARN,
                [EVENT_WAITING] = STYLE_WARN,
                [EVENT_NO_ACK] = STYLE_WARN,
                [EVENT_FAILED] = STYLE_WARN,
                [EVENT_BUSY] = STYLE_WARN,
                [EVENT_DISCONNECTED] = STYLE_WARN,
};

/* States of receivers and of discovery, and of a reply. */
static const struct {
        const char *state;
        Style style;
} other_styles[] = {
                {"connected", STYLE_GOOD},
                {"reachable", STYLE_GOOD},
                {"unreachable", STYLE_BAD},
                {"draining", STYLE_WARN},
                {"cut", STYLE_WARN},
                {"idle", STYLE_DIM},
};

Style style_of_word(const char *word)
{
        int event = message_event_from_string(word);

        if (event >= 0)
                return event_styles[event];
        for (size_t i = 0; i < ELEMENTSOF(other_styles); i++)
                if (str_equal(word, other_styles[i].state))
                        return other_styles[i].style;
        return STYLE_NONE;
}

int ctl_fail(ExitCode code, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        /* One write: other programs may write to the same file. On a terminal it replaces a line of
         * progress. */
        fprintf(stderr, "%sackctl: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", text ?: "out of memory");
        return code;
}
