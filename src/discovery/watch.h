/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests that wait for the list of a group to change; each has a deadline, since a suspended connection is
 * not watched. */

#include "discovery/list.h"

int watch_init(Discovery *d);
void watch_clear(Discovery *d); /* answers all */
/* -ENOSPC, -ENOMEM, or -EINVAL for the name of a group that none can have. */
int watch_add(Discovery *d, HttpExchange *x, const ListQuery *q) _must_use_;
void watch_changed(Discovery *d, Group *g);
