/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests that wait for the list to change; each has a deadline, since a suspended connection is not
 * watched. */

#include "discovery/discovery.h"

int watch_init(Discovery *d);
void watch_clear(Discovery *d);                                         /* answers all */
int watch_add(Discovery *d, HttpExchange *x, uint64_t usec) _must_use_; /* -ENOSPC, -ENOMEM */
void watch_changed(Discovery *d);
