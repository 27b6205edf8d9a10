/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Prints the steps of one message to standard error: a line for each event, and a progress bar on a
 * terminal. Prints nothing with --json. */

#include "ctl/bar.h"
#include "ctl/ctl.h"

typedef struct Steps {
        const Ctl *c;
        Bar bar;
        char *progress; /* the last progress that was printed as a line */
        char **working; /* receivers and attempts whose "working" was printed */
} Steps;

void steps_clear(Steps *s); /* frees the contents of *s */

/* Ends the line of the bar. Call it before you print other text. */
void steps_end_bar(Steps *s);

/* Prints one line: a word in its colour, then the text. */
void steps_say(Steps *s, const char *word, const char *format, ...) _printf_(3, 4);

/* Prints an event of the signal MessageEvent; "accepted" shows the id. It does not print the end of a
 * message, because the reply of WaitForEnd says more. */
void steps_event(Steps *s, const char *id, const char *event, uint32_t attempt, const char *receiver,
                const char *detail);
