/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What runs in the process of the warden, and how the receiver talks to it. Only for runtime/warden.c. */

#include "runtime/warden.h"

typedef enum WardenVerb {
        WARDEN_RUN,
        WARDEN_KILL,
} WardenVerb;

/* Is followed by `size` bytes: the path, the arguments and the environment, each with a NUL at its end. The
 * descriptors come with the first byte, in the order of their new numbers. The answer to WARDEN_RUN is an
 * int: 0 or negative errno. WARDEN_KILL has no answer. */
typedef struct WardenRequest {
        uint32_t verb;
        uint32_t ward;
        uint32_t n_arguments, n_environment;
        uint32_t size;
        uint32_t fds; /* bit n: there is one that becomes n */
} WardenRequest;

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
