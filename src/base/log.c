/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/string-table.h"

#define LINE_MAX_BYTES 2048

static int log_level = LOG_INFO;
static LogSink log_sink = NULL;

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

void log_set_sink(LogSink sink)
{
        log_sink = sink;
}

static void log_to_stderr(int level, const char *text)
{
        char line[LINE_MAX_BYTES + 32];
        const char *before = "", *after = "";
        char prefix[8] = "";

        if (isatty(STDERR_FILENO)) {
                if (level <= LOG_ERR)
                        before = "\033[31m", after = "\033[0m";
                else if (level == LOG_WARNING)
                        before = "\033[33m", after = "\033[0m";
        } else if (getenv("JOURNAL_STREAM"))
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
        if (log_sink)
                log_sink(level, text);
        else
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
