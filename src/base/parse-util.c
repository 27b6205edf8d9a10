/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse-util.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/time-util.h"

int parse_bool(const char *s, bool *ret)
{
        static const struct {
                const char *word;
                bool value;
        } words[] = {
                        {"yes", true},
                        {"true", true},
                        {"on", true},
                        {"1", true},
                        {"no", false},
                        {"false", false},
                        {"off", false},
                        {"0", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasecmp(s, words[i].word) == 0) {
                        *ret = words[i].value;
                        return 0;
                }
        return -EINVAL;
}

/* Digits at the start of *s; moves *s behind them. */
static int take_u64(const char **s, uint64_t *ret)
{
        char *end;

        if (!isdigit((unsigned char) **s))
                return -EINVAL;

        errno = 0;
        unsigned long long value = strtoull(*s, &end, 10);
        if (errno != 0)
                return -ERANGE;
        *s = end;
        *ret = value;
        return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
        uint64_t value;
        int r;

        r = take_u64(&s, &value);
        if (r < 0)
                return r;
        if (*s != '\0')
                return -EINVAL;
        if (value < min || value > max)
                return -ERANGE;
        *ret = value;
        return 0;
}

int parse_unsigned(const char *s, unsigned min, unsigned max, unsigned *ret)
{
        uint64_t value;
        int r;

        r = parse_u64(s, min, max, &value);
        if (r < 0)
                return r;
        *ret = (unsigned) value;
        return 0;
}

int parse_probability(const char *s, double *ret)
{
        char *end;

        /* No hexadecimal, no "nan": what strtod() takes must start as a plain number. */
        if (!isdigit((unsigned char) s[0]) && s[0] != '.')
                return -EINVAL;
        if (strspn(s, "0123456789.%") != strlen(s))
                return -EINVAL;

        double value = strtod(s, &end);
        if (*end == '%') {
                value /= 100;
                end++;
        }
        if (*end != '\0')
                return -EINVAL;
        if (!(value >= 0 && value <= 1))
                return -ERANGE;
        *ret = value;
        return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
        static const char suffixes[] = "KMGT";
        uint64_t value;
        int r;

        r = take_u64(&s, &value);
        if (r < 0)
                return r;

        if (*s != '\0') {
                const char *suffix = strchr(suffixes, toupper((unsigned char) *s));
                if (!suffix || s[1] != '\0')
                        return -EINVAL;
                unsigned shift = 10 * (unsigned) (suffix - suffixes + 1);
                if (value > UINT64_MAX >> shift)
                        return -ERANGE;
                value <<= shift;
        }
        *ret = value;
        return 0;
}

int parse_duration(const char *s, uint64_t *ret_usec)
{
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                        {"us", 1},
                        {"ms", USEC_PER_MSEC},
                        {"s", USEC_PER_SEC},
                        {"sec", USEC_PER_SEC},
                        {"m", 60 * USEC_PER_SEC},
                        {"min", 60 * USEC_PER_SEC},
                        {"h", 3600 * USEC_PER_SEC},
                        {"d", 86400 * USEC_PER_SEC},
                        {"", USEC_PER_SEC},
        };
        uint64_t total = 0;
        int r;

        if (strcasecmp(s, "infinity") == 0) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }

        do {
                uint64_t value, usec = 0;

                s += strspn(s, " ");
                r = take_u64(&s, &value);
                if (r < 0)
                        return r;

                s += strspn(s, " ");
                size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");
                for (size_t i = 0; i < ELEMENTSOF(units) && usec == 0; i++)
                        if (strlen(units[i].name) == n && strncmp(s, units[i].name, n) == 0)
                                usec = units[i].usec;
                if (usec == 0)
                        return -EINVAL;
                if (value > (USEC_INFINITY - 1 - total) / usec)
                        return -ERANGE;

                total += value * usec;
                s += n;
                s += strspn(s, " ");
        } while (*s != '\0');

        *ret_usec = total;
        return 0;
}

int parse_timestamp(const char *s, uint64_t *ret_usec)
{
        static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S",
                        "%Y-%m-%dT%H:%M", "%H:%M:%S", "%H:%M"};
        time_t now = (time_t) (now_usec(CLOCK_REALTIME) / USEC_PER_SEC);
        uint64_t seconds;

        if (s[0] == '@') {
                int r = parse_u64(s + 1, 0, INT64_MAX / USEC_PER_SEC, &seconds);
                if (r >= 0)
                        *ret_usec = seconds * USEC_PER_SEC;
                return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                bool clock_only = formats[i][1] == 'H';
                struct tm tm;

                if (!localtime_r(&now, &tm))
                        return -EINVAL;
                tm.tm_sec = 0;
                const char *end = strptime(s, formats[i], &tm);
                if (!end || *end != '\0')
                        continue;
                tm.tm_isdst = -1;
                const struct tm given = tm;
                time_t at = mktime(&tm);
                /* It makes 2 March of 30 February. */
                if (tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon)
                        return -EINVAL;
                if (clock_only && at <= now) {
                        tm.tm_mday++;
                        tm.tm_isdst = -1;
                        at = mktime(&tm);
                }
                if (at < 0)
                        return -ERANGE;
                *ret_usec = (uint64_t) at * USEC_PER_SEC;
                return 0;
        }
        return -EINVAL;
}
