/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keeps the list of receivers: one request to discovery is open, which it answers when the list changes.
 * While discovery is silent the last list stays. It is on disk, too, for a start without discovery. */

#include "client/state/types.h"

const char *discovery_state_to_string(DiscoveryState value);
int discovery_state_from_string(const char *word);

int resolver_new(Client *c, Resolver **ret);
Resolver *resolver_free(Resolver *r);
void resolver_start(Resolver *r);

/* A receiver as it was on disk. */
int resolver_load(Client *c, sd_id128_t id, const char *record, bool departed);
