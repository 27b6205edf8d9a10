/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The width of text on a terminal, in columns. */

#include <stdio.h>

size_t columns_of(const char *text);

/* Prints what fits into so many columns; an ellipsis stands for the rest. Returns the columns used. */
size_t columns_print(FILE *to, const char *text, size_t columns);

size_t columns_of_terminal(int fd); /* 80 where the terminal does not say */
