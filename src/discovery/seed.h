/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The seed API: registration without tokens, for receivers that speak plain text. */

#include "base/random-pool.h"
#include "discovery/leases.h"
#include "discovery/reply.h"

typedef struct Seed {
        const DiscoveryConfig *config;
        Leases *leases;
        RandomPool *random;
} Seed;

void seed_register(Seed *s, HttpExchange *x);
void seed_heartbeat(Seed *s, HttpExchange *x);
void seed_list(Seed *s, HttpExchange *x);
