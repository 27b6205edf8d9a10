/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The standard input of a Child. Only for runtime/child.c. */

#include <stddef.h>

/* A descriptor from which all of the input can be read, and then its end. 0 or negative errno. */
int child_input(const void *input, size_t size, int *ret);
