/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* The section [Discovery] of ackgroup.conf. SIGHUP changes lease_usec and allow_tcp; the rest stays as it
 * was at the start. */
typedef struct DiscoveryConfig {
        char **listen;
        bool seed_api, allow_tcp, allow_insecure;
        uint64_t lease_usec;
        unsigned connections_per_address; /* of TCP */
        char *state_directory, *log_level;
} DiscoveryConfig;
