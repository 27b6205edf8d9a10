/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/string-table.h"

#define LINE_MAX_BYTES 2048

static int log_level = LOG_INFO;
static LogTarget log_target = LOG_TARGET_UNKNOWN;

static const char *const level_names[] = {
                [LOG_EMERG] = "emerg",
                [LOG_ALERT] = "alert",
                [LOG_CRIT] = "crit",
                [LOG_ERR] = "err",
                [LOG_WARNING] = "warning",
                [LOG_NOTICE] = "notice",
                [LOG_INFO] = "info",
                [LOG_DEBUG] = "debug",
};
DEFINE_STRING_TABLE(log_level, int, level_names)

void log_set_level(int level)
{
        log_level = level;
}

int log_get_level(void)
{
        return log_level;
}

static LogTarget find_target(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        char own[64];
        struct stat st;

        if (isatty(STDERR_FILENO))
                return LOG_TARGET_TERMINAL;
        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return LOG_TARGET_PLAIN;
        (void) snprintf(own, sizeof own, "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return strcmp(own, stream) == 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_PLAIN;
}

LogTarget log_get_target(void)
{
        if (log_target == LOG_TARGET_UNKNOWN)
                log_target = find_target();
        return log_target;
}

static void log_to_stderr(int level, const char *text)
{
        char line[LINE_MAX_BYTES + 32];
        const char *before = "", *after = "";
        char prefix[8] = "";

        if (log_get_target() == LOG_TARGET_TERMINAL) {
                if (level <= LOG_ERR)
                        before = "\033[31m", after = "\033[0m";
                else if (level == LOG_WARNING)
                        before = "\033[33m", after = "\033[0m";
        } else if (log_get_target() == LOG_TARGET_JOURNAL)
                (void) snprintf(prefix, sizeof prefix, "<%d>", level);

        /* One write per line, so that lines of several processes do not mix. */
        int n = snprintf(line, sizeof line, "%s%s%s%s\n", prefix, before, text, after);
        if (n > 0)
                (void) !write(STDERR_FILENO, line, MIN((size_t) n, sizeof line - 1));
}

void log_line_va(int level, const char *format, va_list ap)
{
        char text[LINE_MAX_BYTES];

        if (level > log_level)
                return;

        int saved = errno;
        (void) vsnprintf(text, sizeof text, format, ap);
        log_to_stderr(level, text);
        errno = saved;
}

void log_line(int level, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        log_line_va(level, format, ap);
        va_end(ap);
}

int log_errno(int level, int r, const char *format, ...)
{
        char text[LINE_MAX_BYTES];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        log_line(level, "%s: %s", text, strerror(r < 0 ? -r : r));
        return r;
}
