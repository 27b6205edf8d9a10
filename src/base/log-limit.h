/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits how many lines of one kind are written. Two lines are of one kind if they have the same format.
 * Part of base/log and runtime/journal. */

#include "base/time-util.h"

#define LOG_LIMIT_USEC (30 * USEC_PER_SEC)

/* Lines of one kind in LOG_LIMIT_USEC. The journal takes 10,000 of a service in this time and hides the
 * rest. */
#define LOG_LINES_MAX   20u   /* lines that tell of one cause again and again */
#define LOG_TROUBLE_MAX 300u  /* what went wrong with single messages */
#define LOG_ROUTINE_MAX 2000u /* steps of single messages */

typedef struct LogKind LogKind;

/* Counts one line. NULL: too many of its kind were written, and this one must not be. Otherwise the caller
 * passes the text to log_limit_written(). */
LogKind *log_limit_take(int level, const char *format, unsigned max);
void log_limit_written(LogKind *k, const char *text);

/* Calls `tell` for each kind of which lines were left out and whose time is over, or for `all` kinds.
 * Returns whether lines of any other kind were left out. */
bool log_limit_tell(void (*tell)(int level, const char *text), bool all);
