/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes lines to standard error and never waits for whoever reads it. What cannot be written at once waits
 * in a buffer of OUTLET_SIZE bytes; when that is full, lines are dropped and counted. Part of base/log. */

#include "base/macro.h"

#define OUTLET_SIZE (64u * 1024)

/* Writes the line, which ends with a newline, or keeps it, or drops it. */
void log_outlet_write(const char *line, size_t n);
/* Tries to write what is kept. False: there is something left. */
bool log_outlet_flush(void);
/* The same, but waits up to `usec` for the reader; for the end of the program. */
void log_outlet_finish(uint64_t usec);
/* How many lines were dropped since the last call; 0 while something is kept. */
uint64_t log_outlet_take_dropped(void);
