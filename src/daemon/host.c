/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/host.h"

/* The machine id itself stays on the machine. */
#define APPLICATION SD_ID128_MAKE(5d, 2a, 2f, 7e, 1c, 3b, 4f, 0e, 9c, 61, 8a, 57, d4, 02, b9, 33)

HostMark host_mark(void)
{
        HostMark mark = {};

        (void) sd_id128_get_machine_app_specific(APPLICATION, &mark.machine);
        (void) sd_id128_get_boot(&mark.boot);
        return mark;
}
