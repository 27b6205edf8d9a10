/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a message is sent and retried. POLICY_OPEN: the sender has set no value. Then the configuration
 * decides, each time the value is needed. */

#include "model/backoff.h"

#define POLICY_OPEN      UINT64_MAX
#define PRIORITY_MAX     9u /* the most urgent */
#define PRIORITY_DEFAULT 4u

typedef struct Policy {
        uint64_t ack_timeout_usec; /* an attempt without an ack ends after so long */
        uint64_t backoff_usec;     /* after the first failure; doubles; 0: none */
        uint64_t backoff_max_usec;
        uint64_t max_attempts;  /* 0: no limit */
        uint64_t start_usec;    /* since the epoch; not sent before; 0: at once */
        uint64_t deadline_usec; /* since the epoch; then given up; 0: never */
        unsigned priority;      /* 0 to PRIORITY_MAX */
} Policy;

extern const Policy POLICY_ALL_OPEN;

/* The message's own values, and the configuration's where they are open. */
Policy policy_resolve(const Policy *own, const Policy *configured);
