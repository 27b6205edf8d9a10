/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lists of receivers as answers to GET /v1/receivers. A list without conditions is made once after each
 * change and given as often as it is asked for. */

#include "discovery/discovery.h"

#define LIST_MAX 10000u /* receivers in one answer */

typedef struct ListQuery {
        const char *group; /* NULL: all */
        Label labels[LABELS_MAX];
        size_t n_labels;
        size_t limit;
        const char *known;  /* the revision that the asker has, or NULL */
        bool changes;       /* it wants what has changed since then */
        const Lease *after; /* behind which its page begins, or NULL */
        uint64_t wait_usec; /* how long it waits for another revision than `known` */
} ListQuery;

/* False after having answered with an error. */
bool list_parse_query(Discovery *d, HttpExchange *x, ListQuery *ret);
void list_answer(Discovery *d, HttpExchange *x, const ListQuery *q);
void list_forget(Discovery *d, Group *g); /* it has changed */
