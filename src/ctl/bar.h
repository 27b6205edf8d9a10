/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A progress line at the bottom of the terminal on standard error. It is written over again and again. */

#include "base/macro.h"

typedef struct Bar {
        bool shown;
} Bar;

/* Draws `width` characters, the first part of them filled: "####    ". `part` is from 0 to 1; `buffer` has
 * room for width + 1. Returns buffer. */
char *bar_draw(char *buffer, size_t width, double part);

/* Shows the line in place of the one before, cut to the width of the terminal. */
void bar_show(Bar *b, const char *line);

/* Before anything else is written to standard error: keeps the line and begins a new one, or erases it. */
void bar_keep(Bar *b);
void bar_erase(Bar *b);
