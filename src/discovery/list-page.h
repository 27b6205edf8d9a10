/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The JSON of an answer to GET /v1/receivers. The group is NULL where it has no lease and no long poll. */

#include "discovery/list-query.h"
#include "discovery/tombstone.h"

/* A page of the list. 0 or -ENOMEM. */
int list_page_print(const Groups *gs, const Group *g, const ListQuery *q, Buffer *out) _must_use_;

/* Prints what has changed since the revision of the query, and returns 1. Returns 0 and prints nothing when
 * some changes are not known any more, or when they exceed the query's limit: the client must then read the
 * whole list. Or -ENOMEM. */
int list_changes_print(const Groups *gs, const Tombstones *tombstones, const Group *g, const ListQuery *q,
                Buffer *out) _must_use_;
