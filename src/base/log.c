/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log-limit.h"
#include "base/log-outlet.h"
#include "base/string-table.h"

#define LINE_MAX_BYTES 2048
#define FINISH_USEC    USEC_PER_SEC       /* at the end of the program, for a slow reader */
#define AGAIN_USEC     (USEC_PER_SEC / 5) /* the next look at what is left to be written */

static int log_level = LOG_INFO;
static LogTarget log_target = LOG_TARGET_UNKNOWN;
static void (*log_wake)(void *userdata);
static void *log_wake_userdata;

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

        int n = snprintf(line, sizeof line, "%s%s%s%s\n", prefix, before, text, after);
        if (n <= 0)
                return;
        log_outlet_write(line, MIN((size_t) n, sizeof line - 1));
}

static void tell_dropped(void)
{
        const uint64_t n = log_outlet_take_dropped();
        char text[100];

        if (n == 0)
                return;
        (void) snprintf(text, sizeof text, "%llu log lines are lost: nobody read standard error in time",
                        (unsigned long long) n);
        log_to_stderr(LOG_WARNING, text);
}

static void wake(void)
{
        if (log_wake)
                log_wake(log_wake_userdata);
        else
                (void) log_tick();
}

uint64_t log_tick(void)
{
        bool left_out = log_limit_tell(log_to_stderr, false);
        bool written = log_outlet_flush();

        if (written)
                tell_dropped();
        if (!written)
                return AGAIN_USEC;
        return left_out ? USEC_PER_SEC : USEC_INFINITY;
}

void log_on_wake(void (*fn)(void *userdata), void *userdata)
{
        log_wake = fn;
        log_wake_userdata = userdata;
}

void log_finish(void)
{
        (void) log_limit_tell(log_to_stderr, true);
        log_outlet_finish(FINISH_USEC);
        tell_dropped();
        (void) log_outlet_flush();
}

struct LogKind *log_admit(int level, const char *format, unsigned max)
{
        LogKind *k = log_limit_take(level, format, max);

        if (!k)
                wake();
        return k;
}

void log_admitted(struct LogKind *k, int level, const char *text)
{
        int saved = errno;

        if (k)
                log_limit_written(k, text);
        tell_dropped();
        log_to_stderr(level, text);
        if (!log_outlet_flush())
                wake();
        errno = saved;
}

void log_line_va(int level, const char *format, va_list ap)
{
        char text[LINE_MAX_BYTES];
        LogKind *k = NULL;

        if (level > log_level)
                return;
        /* Who asks for the debug log wants all of it. */
        if (level < LOG_DEBUG && !(k = log_admit(level, format, LOG_LINES_MAX)))
                return;
        (void) vsnprintf(text, sizeof text, format, ap);
        log_admitted(k, level, text);
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
        char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
        LogKind *k = NULL;
        va_list ap;

        if (level > log_level)
                return r;
        if (level < LOG_DEBUG && !(k = log_admit(level, format, LOG_LINES_MAX)))
                return r;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        (void) snprintf(line, sizeof line, "%.*s: %s", LINE_MAX_BYTES - 256, text, strerror(r < 0 ? -r : r));
        log_admitted(k, level, line);
        return r;
}
