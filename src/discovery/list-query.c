/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/list-query.h"

#include <errno.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/time-util.h"

#define WAIT_MAX 60u /* seconds */

typedef struct Selectors {
        ListQuery *query;
        Error error;
} Selectors;

static bool on_label(const char *value, void *userdata)
{
        Selectors *s = userdata;
        ListQuery *q = s->query;

        if (q->n_labels >= LABELS_MAX) {
                (void) error_set(&s->error, -EINVAL, "at most %u labels can be asked for", LABELS_MAX);
                return false;
        }
        if (label_parse(value, q->labels + q->n_labels, &s->error) < 0)
                return false;
        q->n_labels++;
        return true;
}

/* A cursor, REVISION-ID, is a place in the order of changes. It is valid as long as the receiver there has
 * not changed. 0, -EINVAL, or -ENOENT for one that is not valid any more. */
static int parse_cursor(const char *text, const LeaseIndex *index, const Group *all, const Group *g,
                const Lease **ret)
{
        char number[24];
        uint64_t revision;
        sd_id128_t id;

        const char *dash = strchr(text, '-');
        if (!dash || (size_t) (dash - text) >= sizeof number)
                return -EINVAL;
        (void) snprintf(number, sizeof number, "%.*s", (int) (dash - text), text);
        if (parse_u64(number, 0, UINT64_MAX, &revision) < 0 || sd_id128_from_string(dash + 1, &id) < 0)
                return -EINVAL;
        const Lease *l = lease_index_find(index, id);
        if (!l || l->revision != revision || (g != all && l->group != g))
                return -ENOENT;
        *ret = l;
        return 0;
}

static bool refuse(HttpExchange *x, const char *field, const char *message)
{
        reply_error(x, 400, "invalid", field, message);
        return false;
}

bool list_query_parse(HttpExchange *x, Groups *gs, const LeaseIndex *index, ListQuery *ret)
{
        const char *since = http_query(x, "since"), *changes = http_query(x, "changes");
        const char *wait = http_query(x, "wait"), *limit = http_query(x, "limit");
        const char *after = http_query(x, "after");
        uint64_t seconds = 0, most = LIST_MAX;
        Selectors s = {.query = ret};

        *ret = (ListQuery){.group = http_query(x, "group"), .known = changes ?: since, .changes = changes};
        http_query_each(x, "label", on_label, &s);
        if (s.error.text[0])
                return refuse(x, "label", s.error.text);
        if (wait && parse_u64(wait, 0, WAIT_MAX, &seconds) < 0)
                return refuse(x, "wait", "\"wait\" must be a number of seconds from 0 to 60");
        if (limit && parse_u64(limit, 1, LIST_MAX, &most) < 0)
                return refuse(x, "limit", "\"limit\" must be a number from 1 to 10000");
        ret->wait_usec = seconds * USEC_PER_SEC;
        ret->limit = most;
        int r = after ? parse_cursor(after, index, &gs->all, group_find(gs, ret->group), &ret->after) : 0;
        if (r == -EINVAL)
                return refuse(x, "after", "\"after\" must be the \"next\" of the page before");
        if (r < 0)
                reply_error(x, 410, "cursor-gone", "after",
                                "the receiver at the end of the page before has changed: begin again "
                                "without \"after\"");
        return r >= 0;
}
