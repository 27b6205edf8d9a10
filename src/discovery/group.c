/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "discovery/discovery.h"
#include "discovery/list.h"
#include "discovery/watch.h"

#define EPOCH_LENGTH 12

const char *group_name(const Group *g)
{
        return g->name;
}

Lease *group_next(const Group *g, const Lease *l)
{
        return group_is_all(g) ? l->next : l->group_next;
}

Lease *group_before(const Group *g, const Lease *l)
{
        if (!g->first || l == g->first)
                return NULL;
        if (!l)
                l = g->first; /* whose "previous" is the last */
        return group_is_all(g) ? l->prev : l->group_prev;
}

Group *group_find(Discovery *d, const char *name)
{
        IndexItem *i = index_first(&d->groups, index_hash(d->seed, name, strlen(name)));

        while (i && !str_equal(CONTAINER_OF(i, Group, item)->name, name))
                i = index_next(i);
        return i ? CONTAINER_OF(i, Group, item) : NULL;
}

Group *group_get(Discovery *d, const char *name)
{
        Group *g = group_find(d, name);

        if (g || str_empty(name) || strlen(name) > NAME_MAX_LENGTH)
                return g;
        g = calloc(1, sizeof *g);
        if (!g)
                return NULL;
        strcpy(g->name, name);
        g->revision = d->groups_floor;
        if (index_add(&d->groups, &g->item, index_hash(d->seed, name, strlen(name))) < 0) {
                free(g);
                return NULL;
        }
        return g;
}

void group_release(Discovery *d, Group *g)
{
        if (group_is_all(g) || g->n_leases > 0 || g->waiters)
                return;
        list_forget(d, g);
        /* When it comes back, or is asked for meanwhile, it has not the revision of an earlier list. */
        d->groups_floor = MAX(d->groups_floor, g->revision);
        index_remove(&d->groups, &g->item);
        free(g);
}

void group_add(Discovery *d, Group *g, Lease *l)
{
        if (group_is_all(g))
                DL_APPEND(g->first, l);
        else
                DL_APPEND2(g->first, l, group_prev, group_next);
        g->n_leases++;
}

void group_take(Discovery *d, Group *g, Lease *l)
{
        if (group_is_all(g))
                DL_DELETE(g->first, l);
        else
                DL_DELETE2(g->first, l, group_prev, group_next);
        g->n_leases--;
}

void group_touch(Discovery *d, Group *g, uint64_t revision)
{
        g->revision = revision;
        list_forget(d, g);
        watch_changed(d, g);
}

Shared *shared_get(Discovery *d, const char *text)
{
        uint32_t hash = index_hash(d->seed, text, strlen(text));
        IndexItem *i = index_first(&d->labels, hash);
        Shared *s;

        while (i && !str_equal(CONTAINER_OF(i, Shared, item)->text, text))
                i = index_next(i);
        if (i) {
                s = CONTAINER_OF(i, Shared, item);
                s->users++;
                return s;
        }
        s = malloc(sizeof *s + strlen(text) + 1);
        if (!s)
                return NULL;
        *s = (Shared){.users = 1};
        strcpy(s->text, text);
        if (index_add(&d->labels, &s->item, hash) < 0) {
                free(s);
                return NULL;
        }
        return s;
}

void shared_put(Discovery *d, Shared *s)
{
        if (!s || --s->users > 0)
                return;
        index_remove(&d->labels, &s->item);
        free(s);
}

static const char *epoch(const Discovery *d, char buffer[static SD_ID128_STRING_MAX])
{
        (void) sd_id128_to_string(d->epoch, buffer);
        buffer[EPOCH_LENGTH] = '\0';
        return buffer;
}

const char *group_revision(const Discovery *d, const Group *g, char buffer[static REVISION_MAX])
{
        char text[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, REVISION_MAX, "%s-%" PRIu64, epoch(d, text),
                        g ? g->revision : d->groups_floor);
        return buffer;
}

int revision_parse(const Discovery *d, const char *text, uint64_t *ret)
{
        char start[SD_ID128_STRING_MAX];

        const char *rest = str_after_prefix(text, epoch(d, start));
        return rest && rest[0] == '-' ? parse_u64(rest + 1, 0, UINT64_MAX, ret) : -EINVAL;
}
