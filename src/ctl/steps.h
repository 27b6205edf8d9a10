/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The steps of one message on standard error: a line for each event, and a progress bar on a terminal.
 * Nothing with --json. */

#include "ctl/bar.h"
#include "ctl/ctl.h"

typedef struct Steps {
        const Ctl *c;
        Bar bar;
        char *progress; /* the last progress that was shown as a line */
        char **working; /* receivers and attempts whose "working" was shown */
} Steps;

void steps_clear(Steps *s); /* frees what it holds */

/* Ends the line of the bar. To be called before anything else is printed. */
void steps_end_bar(Steps *s);

/* One line: a word in its colour, and the rest. */
void steps_say(Steps *s, const char *word, const char *format, ...) _printf_(3, 4);

/* Shows an event as the signal MessageEvent has it; "accepted" with the id. The end of a message is not
 * shown: the answer of Wait says more. */
void steps_event(Steps *s, const char *id, const char *event, uint32_t attempt, const char *receiver,
                const char *detail);
