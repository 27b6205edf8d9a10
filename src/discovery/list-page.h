/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The JSON of an answer to GET /v1/receivers. The group is NULL where it has no lease and no long poll. */

#include "discovery/list-query.h"
#include "discovery/tombstone.h"

/* A page of the list. 0 or -ENOMEM. */
int list_page_print(const Groups *gs, const Group *g, const ListQuery *q, Buffer *out) _must_use_;

/* What has changed since the revision of the query. 1; 0 and nothing is printed: not all of it is known any
 * more, or it is more than the query's limit, so the client must read the list; -ENOMEM. */
int list_changes_print(const Groups *gs, const Tombstones *tombstones, const Group *g, const ListQuery *q,
                Buffer *out) _must_use_;
