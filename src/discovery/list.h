/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answers to GET /v1/receivers. The first page of a list without label conditions is made once after each
 * change, and every client that asks gets the same bytes. */

#include "discovery/leases.h"
#include "discovery/list-query.h"

typedef struct Lists {
        Groups *groups;
        const Leases *leases;
        Group *cached; /* groups with a cached list, the newest at the end */
        size_t cached_size;
} Lists;

void lists_init(Lists *s, const Leases *leases); /* lent */
void lists_clear(Lists *s);                      /* before leases_clear() */

void lists_answer(Lists *s, HttpExchange *x, const ListQuery *q);
void lists_forget(Lists *s, Group *g); /* the group has changed */
