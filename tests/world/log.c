/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* base/log.h of simulated processes: a line goes to the simulator, not to standard error. */

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include "world/process.h"

#define LINE_MAX_SIZE 1024u

static void (*on_line)(Process *p, int level, const char *text, void *userdata);
static void *on_line_userdata;
static int log_level = LOG_INFO;

void world_on_log(void (*fn)(Process *p, int level, const char *text, void *userdata), void *userdata)
{
        on_line = fn;
        on_line_userdata = userdata;
}

void log_set_level(int level)
{
        log_level = level;
}

int log_get_level(void)
{
        return log_level;
}

static const char *const levels[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

const char *log_level_to_string(int level)
{
        return levels[level];
}

int log_level_from_string(const char *word)
{
        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (strcmp(word, levels[i]) == 0)
                        return (int) i;
        return -EINVAL;
}

LogTarget log_get_target(void)
{
        return LOG_TARGET_PLAIN;
}

uint64_t log_tick(void)
{
        return UINT64_MAX;
}

void log_on_wake(void (*fn)(void *userdata), void *userdata)
{
}

void log_finish(void)
{
}

/* The simulator wants every line. */
struct LogKind *log_admit(int level, const char *format, unsigned max)
{
        static char kind;

        return (struct LogKind *) &kind;
}

void log_admitted(struct LogKind *k, int level, const char *text)
{
        log_line(level, "%s", text);
}

void log_line_va(int level, const char *format, va_list ap)
{
        char line[LINE_MAX_SIZE];
        HOST_SCOPE;

        if (level > log_level || !on_line)
                return;
        (void) vsnprintf(line, sizeof line, format, ap);
        on_line(process_current(), level, line, on_line_userdata);
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
        char text[LINE_MAX_SIZE];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        log_line(level, "%s: %s", text, strerror(-r));
        return r;
}
