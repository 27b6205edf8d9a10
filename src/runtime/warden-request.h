/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the receiver asks of its warden, and how the warden reads it. Only for runtime/warden.c and
 * runtime/warden-process.c. */

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
        uint32_t is_local;
} WardenRequest;

/* A request as it has come. Its owner zeroes it before the first one. */
typedef struct WardenInbox {
        WardenRequest request;
        WardSpec spec; /* of WARDEN_RUN; its strings live until the next request */
        char *strings, **words;
        size_t strings_allocated, words_allocated;
} WardenInbox;

/* Waits for all of a request. The descriptors in `spec` are the caller's then. 0; -EPIPE: the receiver is
 * gone; or another negative errno: the request is read, and cannot be met. */
int warden_request_read(int fd, WardenInbox *in);
