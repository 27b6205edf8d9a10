/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/time-util.h"

#include <inttypes.h>
#include <stdio.h>

const char *format_duration(char buffer[static DURATION_MAX], uint64_t usec)
{
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                        {"d", 86400 * USEC_PER_SEC},
                        {"h", 3600 * USEC_PER_SEC},
                        {"min", 60 * USEC_PER_SEC},
                        {"s", USEC_PER_SEC},
                        {"ms", USEC_PER_MSEC},
                        {"us", 1},
        };

        if (usec == USEC_INFINITY || usec == 0) {
                (void) snprintf(buffer, DURATION_MAX, "%s", usec == 0 ? "0" : "infinity");
                return buffer;
        }

        size_t i = 0;
        while (usec < units[i].usec)
                i++;

        uint64_t rest = usec % units[i].usec;
        int n = snprintf(buffer, DURATION_MAX, "%" PRIu64 "%s", usec / units[i].usec, units[i].name);
        if (i + 1 < ELEMENTSOF(units) && rest >= units[i + 1].usec)
                (void) snprintf(buffer + n, DURATION_MAX - (size_t) n, " %" PRIu64 "%s",
                                rest / units[i + 1].usec, units[i + 1].name);
        return buffer;
}
