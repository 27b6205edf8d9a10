/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The width of a text on a terminal, in columns. */

#include <stdio.h>

size_t columns_of(const char *text);

/* Prints at most `columns` columns of the text. An ellipsis replaces the rest. Returns the columns used. */
size_t columns_print(FILE *to, const char *text, size_t columns);

size_t columns_of_terminal(int fd); /* 80 if the width is not known */
