/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/crash-point.h"

#if ACKGROUP_CRASH_POINTS
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool crash_is_planned(void)
{
        return getenv("ACKGROUP_CRASH_AT");
}

void crash_point(const char *name)
{
        static atomic_ulong times;
        const char *wanted = getenv("ACKGROUP_CRASH_AT");
        size_t n = strlen(name);

        if (!wanted || strncmp(wanted, name, n) != 0 || (wanted[n] != '\0' && wanted[n] != ':'))
                return;
        if (++times >= (wanted[n] == ':' ? strtoul(wanted + n + 1, NULL, 10) : 1))
                abort();
}
#endif
