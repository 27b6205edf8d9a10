/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keeps the list of receivers up to date. One request to discovery is always open; discovery answers when
 * the list changes. While discovery does not answer, the client uses the last list. The outbox also keeps
 * the list, so the client can start without discovery. */

#include "client/state/types.h"

const char *discovery_state_to_string(DiscoveryState value);
int discovery_state_from_string(const char *word);

int resolver_new(Client *c, Resolver **ret);
Resolver *resolver_free(Resolver *r);
void resolver_start(Resolver *r);

/* At start: adds a receiver from the outbox. `departed`: discovery did not list it any more. Returns 0 or
 * negative errno. */
int resolver_load(Client *c, sd_id128_t id, const char *record, bool departed);
