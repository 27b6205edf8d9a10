/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keeps the view of the receivers up to date: a request to discovery that is answered when the list changes.
 * While discovery is silent the last view stays; it is kept on disk for the next start. */

#include "client/state/types.h"

const char *discovery_state_to_string(DiscoveryState value);
int discovery_state_from_string(const char *word);

int resolver_new(Client *c, Resolver **ret);
Resolver *resolver_free(Resolver *r);
void resolver_start(Resolver *r);

/* A receiver as it was on disk. */
int resolver_load(Client *c, sd_id128_t id, const char *record, bool departed);
