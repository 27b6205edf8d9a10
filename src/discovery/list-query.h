/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a client asks for with GET /v1/receivers. */

#include "discovery/group.h"
#include "discovery/lease-index.h"
#include "discovery/reply.h"

#define LIST_MAX 10000u /* receivers in one answer */

typedef struct ListQuery {
        const char *group; /* NULL: all */
        Label labels[LABELS_MAX];
        size_t n_labels;
        size_t limit;
        const char *known;  /* the revision that the client has, or NULL */
        bool changes;       /* it wants what has changed since then */
        const Lease *after; /* its page begins after this one; NULL: at the beginning */
        uint64_t wait_usec; /* how long it waits for another revision than `known` */
} ListQuery;

/* False after it has answered with an error. *ret points into the exchange and the index. */
bool list_query_parse(HttpExchange *x, Groups *gs, const LeaseIndex *index, ListQuery *ret);
