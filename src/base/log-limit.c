/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log-limit.h"

#include <stdio.h>
#include <string.h>

#define KINDS_MAX  256u /* more than the formats that a program has; further ones share a place */
#define SAMPLE_MAX 160u

struct LogKind {
        bool used;
        uint32_t hash; /* of the format */
        int level;
        unsigned n;       /* written since `since` */
        uint64_t since;   /* CLOCK_BOOTTIME */
        uint64_t missing; /* left out since then */
        char sample[SAMPLE_MAX];
};

static LogKind kinds[KINDS_MAX];

/* FNV-1a. */
static uint32_t hash_of(const char *text)
{
        uint32_t h = 2166136261u;

        for (; *text; text++)
                h = (h ^ (uint8_t) *text) * 16777619u;
        return h;
}

static LogKind *find(uint32_t hash)
{
        for (unsigned i = 0; i < KINDS_MAX; i++) {
                LogKind *k = kinds + (hash + i) % KINDS_MAX;

                if (!k->used)
                        *k = (LogKind){.used = true, .hash = hash};
                if (k->hash == hash)
                        return k;
        }
        return kinds + hash % KINDS_MAX;
}

LogKind *log_limit_take(int level, const char *format, unsigned max)
{
        const uint64_t now = now_usec(CLOCK_BOOTTIME);
        LogKind *k = find(hash_of(format));

        /* What is missing is told first. */
        if (now - k->since >= LOG_LIMIT_USEC && k->missing == 0) {
                k->since = now;
                k->n = 0;
        }
        k->level = level;
        if (k->n >= max) {
                k->missing++;
                return NULL;
        }
        k->n++;
        return k;
}

void log_limit_written(LogKind *k, const char *text)
{
        (void) snprintf(k->sample, sizeof k->sample, "%s", text);
}

/* With a comma between thousands. */
static const char *format_count(uint64_t n, char text[static 32])
{
        char digits[24];
        size_t size = (size_t) snprintf(digits, sizeof digits, "%llu", (unsigned long long) n);
        char *to = text;

        for (size_t i = 0; i < size; i++) {
                if (i > 0 && (size - i) % 3 == 0)
                        *to++ = ',';
                *to++ = digits[i];
        }
        *to = '\0';
        return text;
}

bool log_limit_tell(void (*tell)(int level, const char *text), bool all)
{
        const uint64_t now = now_usec(CLOCK_BOOTTIME);
        char line[SAMPLE_MAX + 64], count[32];
        bool rest = false;

        for (unsigned i = 0; i < KINDS_MAX; i++) {
                LogKind *k = kinds + i;

                if (k->missing == 0)
                        continue;
                if (!all && now - k->since < LOG_LIMIT_USEC) {
                        rest = true;
                        continue;
                }
                (void) snprintf(line, sizeof line, "And %s more like \"%s\"",
                                format_count(k->missing, count), k->sample);
                k->missing = 0;
                k->n = 0;
                k->since = now;
                tell(k->level, line);
        }
        return rest;
}
