/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes one line per event to standard error: with a <N> prefix for the priority when systemd reads it, in
 * colour on a terminal. The level can change while the daemon runs (org.freedesktop.LogControl1). base,
 * model, wire and store log at level debug only. What these files and the two below keep is the only mutable
 * state at file level in the project.
 *
 * A line never waits for its reader (base/log-outlet). Of lines with the same format only so many are
 * written in a time, and then one line says how many more there were (base/log-limit); level debug has no
 * limit. */

#include <errno.h>
#include <stdarg.h>
#include <syslog.h>

#include "base/macro.h"

void log_set_level(int level); /* LOG_EMERG … LOG_DEBUG; LOG_INFO at start */
int log_get_level(void);
const char *log_level_to_string(int level);
int log_level_from_string(const char *word); /* the level, or -EINVAL */

typedef enum LogTarget {
        LOG_TARGET_UNKNOWN,
        LOG_TARGET_PLAIN,
        LOG_TARGET_TERMINAL,
        LOG_TARGET_JOURNAL, /* systemd has connected standard error to it */
} LogTarget;
LogTarget log_get_target(void);

void log_line(int level, const char *format, ...) _printf_(2, 3);
void log_line_va(int level, const char *format, va_list ap) _printf_(2, 0);

/* Appends ": " and the text of the negative errno `r`, and returns `r`, as in `return log_error_errno(r,
 * …)`. */
int log_errno(int level, int r, const char *format, ...) _printf_(3, 4);

/* What cannot be written at once, and how many lines were left out, is written later by log_tick(). It
 * returns when it must be called again, in µs from now, or USEC_INFINITY. `fn` says from inside any of these
 * functions that log_tick() is to be called soon; NULL: nobody calls it, so the lines that follow do its
 * work. */
uint64_t log_tick(void);
void log_on_wake(void (*fn)(void *userdata), void *userdata);
void log_finish(void); /* at the end of the program: waits up to one second for the reader */

/* For those that limit lines themselves: counts one line of the kind `format`; NULL: it must not be written.
 * Then writes it. `k` NULL: it was not counted. */
struct LogKind *log_admit(int level, const char *format, unsigned max);
void log_admitted(struct LogKind *k, int level, const char *text);

#define log_debug(...)            log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)             log_line(LOG_INFO, __VA_ARGS__)
#define log_notice(...)           log_line(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...)          log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...)            log_line(LOG_ERR, __VA_ARGS__)
#define log_debug_errno(r, ...)   log_errno(LOG_DEBUG, r, __VA_ARGS__)
#define log_warning_errno(r, ...) log_errno(LOG_WARNING, r, __VA_ARGS__)
#define log_error_errno(r, ...)   log_errno(LOG_ERR, r, __VA_ARGS__)
