/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What runs in the process of the warden, and how the receiver talks to it. Only for runtime/warden.c. */

#include "runtime/warden-request.h"

/* One message on the socket of ends. */
typedef struct WardenEnd {
        uint32_t ward;
        WardEnd end;
} WardenEnd;

typedef struct WardenFds {
        int requests, ends, lock;
} WardenFds;

/* Keeps these descriptors and standard error, and closes all others. */
_Noreturn void warden_process(const WardenFds *fds);
