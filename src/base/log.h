/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes one line per event to standard error: with a <N> prefix for the priority when systemd reads it, in
 * colour on a terminal. The level and the kind of standard error are the only mutable state at file level in
 * the project. The level can change while the daemon runs (org.freedesktop.LogControl1). base, model, wire
 * and store log at level debug only. */

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

#define log_debug(...)            log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)             log_line(LOG_INFO, __VA_ARGS__)
#define log_notice(...)           log_line(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...)          log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...)            log_line(LOG_ERR, __VA_ARGS__)
#define log_debug_errno(r, ...)   log_errno(LOG_DEBUG, r, __VA_ARGS__)
#define log_warning_errno(r, ...) log_errno(LOG_WARNING, r, __VA_ARGS__)
#define log_error_errno(r, ...)   log_errno(LOG_ERR, r, __VA_ARGS__)
