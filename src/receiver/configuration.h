/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What section [Receiver] of ackgroup.conf and the command line say; docs/man/ackgroup.conf.5 explains it.
 */

#include "base/macro.h"

#define CONCURRENCY_MAX 1000u
#define QUEUE_MAX       100000u

typedef struct ReceiverConfig {
        char *instance, *name, *group, *discovery, *state_directory, *log_level;
        char **labels, **listen, **advertise, **command;
        unsigned concurrency, queue;
        double failure_probability;
        bool plain_text, allow_insecure;
        bool reject_long_reply; /* otherwise it is cut */
        uint64_t handler_timeout_usec, stop_timeout_usec, max_payload, max_reply;
} ReceiverConfig;

/* Messages that may be queued and running at once, over all connections. */
static inline unsigned config_capacity(const ReceiverConfig *c)
{
        return c->concurrency + c->queue;
}
