/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* base/log.h of simulated processes: a line goes to the simulator, not to standard error. */

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include "base/log-limit.h"
#include "world/process.h"

#define LINE_MAX_SIZE 1024u

#define KINDS 4096u

static char ordinary, surplus; /* what log_admit() returns */

static OnLog *on_line;
static void *on_line_userdata;
static int log_level = LOG_INFO;

/* Lines of one format that one start of a process has written, as in base/log-limit. */
static struct {
        uint32_t hash;
        unsigned n;
        uint64_t since;
} kinds[KINDS];

void world_on_log(OnLog *fn, void *userdata)
{
        on_line = fn;
        on_line_userdata = userdata;
        memset(kinds, 0, sizeof kinds);
}

/* Whether base/log would leave out a line of this format. */
static bool is_too_many(const char *format, unsigned max)
{
        const Process *p = process_current();
        uint32_t hash = 2166136261u, i;

        for (; *format; format++)
                hash = (hash ^ (uint8_t) *format) * 16777619u;
        if (p)
                hash = (hash ^ (process_index(p) << 16 ^ process_starts(p))) * 16777619u;
        hash |= 1;
        for (i = 0; i < KINDS && kinds[(hash + i) % KINDS].hash != hash; i++)
                if (kinds[(hash + i) % KINDS].hash == 0)
                        break;
        i = (hash + i) % KINDS;
        if (kinds[i].hash != hash || world_now() - kinds[i].since >= LOG_LIMIT_USEC) {
                kinds[i].hash = hash;
                kinds[i].since = world_now();
                kinds[i].n = 0;
        }
        return ++kinds[i].n > max;
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

static void tell(int level, const char *text, bool too_many)
{
        HOST_SCOPE;

        if (level <= log_level && on_line)
                on_line(process_current(), level, text, too_many, on_line_userdata);
}

/* The simulator wants every line. */
struct LogKind *log_admit(int level, const char *format, unsigned max)
{
        return (struct LogKind *) (is_too_many(format, max) ? &surplus : &ordinary);
}

void log_admitted(struct LogKind *k, int level, const char *text)
{
        tell(level, text, k == (struct LogKind *) &surplus);
}

void log_line_va(int level, const char *format, va_list ap)
{
        char line[LINE_MAX_SIZE];

        if (level > log_level || !on_line)
                return;
        (void) vsnprintf(line, sizeof line, format, ap);
        tell(level, line, is_too_many(format, LOG_LINES_MAX));
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
