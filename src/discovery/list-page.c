/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/list-page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SCAN_MAX 100000u /* receivers looked at for one answer */

/* The leases that go into one answer. */
typedef struct Page {
        Buffer leases; /* pointers */
        size_t n;
        const Lease *last; /* the last one looked at; NULL: no more follow */
} Page;

static int add_lease(Page *p, const Lease *l)
{
        p->n++;
        return buffer_append(&p->leases, &l, sizeof(Lease *));
}

static const Lease *const *page_leases(const Page *p)
{
        return (const Lease *const *) (const void *) buffer_peek(&p->leases);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(lease_name(*(Lease *const *) a), lease_name(*(Lease *const *) b));
}

/* A list that fits in one page is in the order of names; pages are in the order of changes. */
static int collect(const Group *g, const ListQuery *q, Page *p)
{
        const Lease *l = q->after ? group_next(g, q->after) : g ? g->first : NULL, *last = NULL;
        size_t seen = 0;
        int r = 0;

        for (; l && r >= 0 && p->n < q->limit && seen < SCAN_MAX; l = group_next(g, l), seen++) {
                last = l;
                if (lease_has_labels(l, q->labels, q->n_labels))
                        r = add_lease(p, l);
        }
        p->last = l ? last : NULL;
        if (!p->last && !q->after && p->n > 0)
                qsort(p->leases.data + p->leases.start, p->n, sizeof(Lease *), compare_names);
        return r;
}

static int add_text(Buffer *out, const char *text)
{
        return buffer_append(out, text, strlen(text));
}

static int print_leases(Buffer *out, const Page *p)
{
        const Lease *const *leases = page_leases(p);
        int r;

        r = add_text(out, ",\"receivers\":[");
        for (size_t i = 0; i < p->n && r >= 0; i++) {
                if (i > 0)
                        r = add_text(out, ",");
                if (r >= 0)
                        r = lease_print(leases[i], leases[i]->group->name, out);
                if (r >= 0)
                        r = add_text(out, "}");
        }
        return r < 0 ? r : add_text(out, "]");
}

int list_page_print(const Groups *gs, const Group *g, const ListQuery *q, Buffer *out)
{
        char revision[REVISION_MAX], id[SD_ID128_STRING_MAX], text[128];
        Page p = {};
        int r;

        (void) snprintf(text, sizeof text, "{\"revision\":\"%s\"", group_revision(gs, g, revision));
        r = add_text(out, text);
        if (r >= 0)
                r = collect(g, q, &p);
        if (r >= 0)
                r = print_leases(out, &p);
        if (r >= 0 && p.last) {
                (void) snprintf(text, sizeof text, ",\"next\":\"%" PRIu64 "-%s\"", p.last->revision,
                                sd_id128_to_string(p.last->id, id));
                r = add_text(out, text);
        }
        buffer_clear(&p.leases);
        return r < 0 ? r : add_text(out, "}");
}

static int add_id(Buffer *out, sd_id128_t id, const char **comma)
{
        char uuid[SD_ID128_UUID_STRING_MAX], text[64];

        (void) snprintf(text, sizeof text, "%s\"%s\"", *comma, sd_id128_to_uuid_string(id, uuid));
        *comma = ",";
        return add_text(out, text);
}

/* The ids of those that left the group, and of those that do not have the labels (any more). */
static int print_removed(const Groups *gs, const Tombstones *tombstones, const ListQuery *q, uint64_t since,
                const Page *unfit, Buffer *out)
{
        uint32_t hash = q->group ? group_hash(gs, q->group) : 0;
        const char *comma = "";
        const Tombstone *t;
        int r;

        r = add_text(out, ",\"removed\":[");
        for (uint64_t age = 0; r >= 0 && (t = tombstones_get(tombstones, age)) && t->revision > since; age++)
                if (q->group ? t->group_hash == hash : !t->moved)
                        r = add_id(out, t->id, &comma);
        for (size_t i = 0; r >= 0 && i < unfit->n; i++)
                r = add_id(out, page_leases(unfit)[i]->id, &comma);
        return r < 0 ? r : add_text(out, "]");
}

/* 1, 0 when there are more changes than the query's limit, or -ENOMEM. */
static int collect_changes(const Group *g, const ListQuery *q, uint64_t since, Page *fit, Page *unfit)
{
        for (const Lease *l = g ? group_before(g, NULL) : NULL; l && l->revision > since;
                        l = group_before(g, l)) {
                if (fit->n + unfit->n >= q->limit)
                        return 0;
                if (add_lease(lease_has_labels(l, q->labels, q->n_labels) ? fit : unfit, l) < 0)
                        return -ENOMEM;
        }
        return 1;
}

int list_changes_print(const Groups *gs, const Tombstones *tombstones, const Group *g, const ListQuery *q,
                Buffer *out)
{
        Page fit = {}, unfit = {};
        char revision[REVISION_MAX], text[256];
        uint64_t since = 0;
        int r;

        if (revision_parse(gs, q->known, &since) < 0 || since > gs->revision ||
                        !tombstones_reach_back(tombstones, since))
                return 0;
        r = collect_changes(g, q, since, &fit, &unfit);
        if (r > 0) {
                (void) snprintf(text, sizeof text, "{\"revision\":\"%s\",\"since\":\"%.*s\"",
                                group_revision(gs, g, revision), REVISION_MAX, q->known);
                if (add_text(out, text) < 0 || print_removed(gs, tombstones, q, since, &unfit, out) < 0 ||
                                print_leases(out, &fit) < 0 || add_text(out, "}") < 0)
                        r = -ENOMEM;
        }
        buffer_clear(&fit.leases);
        buffer_clear(&unfit.leases);
        return r;
}
