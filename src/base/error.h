/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two channels:
 *   negative errno   something failed; handed up unchanged, logged once where it is handled;
 *   positive enum    an expected outcome (duplicate, queue full …), documented at the function, handled by
 * its immediate caller and never handed further up as an error.
 *
 * A function that refuses input of a person or a peer fills an Error: one sentence that says what is wrong
 * and where. */

#include "base/macro.h"

#define ERROR_MAX 512

typedef struct Error {
        char text[ERROR_MAX];
} Error;

/* Writes the sentence (error may be NULL) and returns `r`. */
int error_set(Error *error, int r, const char *format, ...) _printf_(3, 4);
