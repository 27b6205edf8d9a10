/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The HTTP API (docs/HTTP_API.md): the table of routes, and what /v1 answers. */

#include "discovery/long-poll.h"
#include "discovery/seed.h"

/* Answers to heartbeats. They differ only in whether the receiver is draining, so each of the two is made
 * once. */
typedef struct HeartbeatAnswers {
        HttpAnswer *answers[2]; /* [1]: draining */
        uint64_t lease_usec;    /* the lease in the answers */
        char lease_seconds[24]; /* the same as text */
} HeartbeatAnswers;

typedef struct Api {
        const DiscoveryConfig *config;
        Groups *groups;
        Leases *leases;
        Lists *lists;
        LongPolls *long_polls;
        RandomPool random; /* ids and tokens */
        HeartbeatAnswers heartbeat_answers;
        Seed seed;
} Api;

/* All are lent; `a` must not move in memory afterwards. */
void api_init(Api *a, const DiscoveryConfig *config, Leases *leases, LongPolls *long_polls);
void api_clear(Api *a);

/* What a server needs; `local`: it listens on a Unix socket. */
HttpService api_service(Api *a, bool local);
