/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A progress line at the bottom of the terminal, on standard error. Each update overwrites it. */

#include "base/macro.h"

typedef struct Bar {
        bool shown;
} Bar;

/* Draws `width` characters and fills the given part of them: "####    ". `part` is from 0 to 1. `buffer`
 * must have room for width + 1 bytes. Returns `buffer`. */
char *bar_draw(char *buffer, size_t width, double part);

/* Replaces the previous line. Cuts `line` to the width of the terminal. */
void bar_show(Bar *b, const char *line);

/* Call one of these before you write other text to standard error. bar_keep() keeps the line and starts a
 * new one; bar_erase() erases the line. */
void bar_keep(Bar *b);
void bar_erase(Bar *b);
