/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Colours and error lines. */

#include "ctl/ctl.h"

typedef enum Style {
        STYLE_NONE,
        STYLE_GOOD,
        STYLE_BAD,
        STYLE_WARN,
        STYLE_DIM,
        STYLE_BOLD,
        _STYLE_MAX,
} Style;

/* The escape sequences before and after a word; "" without colour. */
const char *style_begin(bool colour, Style style);
const char *style_end(bool colour, Style style);

/* The style for the name of a state or event; STYLE_NONE for any other word. */
Style style_of_word(const char *word);

/* Writes one line to standard error, "ackctl: …"; returns `code`. */
int ctl_fail(ExitCode code, const char *format, ...) _printf_(2, 3);
