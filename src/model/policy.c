/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/policy.h"

const Policy POLICY_ALL_OPEN = {
                .ack_timeout_usec = POLICY_OPEN,
                .backoff_usec = POLICY_OPEN,
                .backoff_max_usec = POLICY_OPEN,
                .max_attempts = POLICY_OPEN,
                .priority = PRIORITY_DEFAULT,
};

static uint64_t choose(uint64_t own, uint64_t configured)
{
        return own == POLICY_OPEN ? configured : own;
}

Policy policy_resolve(const Policy *own, const Policy *configured)
{
        Policy p = *own;

        p.ack_timeout_usec = choose(own->ack_timeout_usec, configured->ack_timeout_usec);
        p.backoff_usec = choose(own->backoff_usec, configured->backoff_usec);
        p.backoff_max_usec = choose(own->backoff_max_usec, configured->backoff_max_usec);
        p.max_attempts = choose(own->max_attempts, configured->max_attempts);
        /* A backoff that begins above the configured maximum stays where it begins. */
        p.backoff_max_usec = MAX(p.backoff_max_usec, p.backoff_usec);
        return p;
}
