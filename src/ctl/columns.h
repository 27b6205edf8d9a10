/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What fits on a terminal. */

#include <stdio.h>

/* How many columns the text takes. */
size_t columns_of(const char *text);
/* Prints as much of the text as so many columns hold, with an ellipsis for the rest; how many it took. */
size_t columns_print(FILE *to, const char *text, size_t columns);
/* Of the terminal; 80 where it does not say. */
size_t columns_of_terminal(int fd);
