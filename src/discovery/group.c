/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"

void groups_init(Groups *gs, uint64_t hash_seed, sd_id128_t epoch, void (*changed)(Group *g, void *userdata),
                void *userdata)
{
        char text[SD_ID128_STRING_MAX];

        *gs = (Groups){.hash_seed = hash_seed, .changed = changed, .userdata = userdata};
        (void) sd_id128_to_string(epoch, text);
        memcpy(gs->epoch, text, sizeof gs->epoch - 1);
}

void groups_clear(Groups *gs)
{
        index_clear(&gs->by_name);
}

uint32_t group_hash(const Groups *gs, const char *name)
{
        return index_hash(gs->hash_seed, name, strlen(name));
}

Group *group_find(Groups *gs, const char *name)
{
        if (!name)
                return &gs->all;
        IndexItem *i = index_first(&gs->by_name, group_hash(gs, name));
        while (i && !str_equal(CONTAINER_OF(i, Group, item)->name, name))
                i = index_next(i);
        return i ? CONTAINER_OF(i, Group, item) : NULL;
}

Group *group_get(Groups *gs, const char *name)
{
        Group *g = group_find(gs, name);

        if (g || str_empty(name) || strlen(name) > NAME_MAX_LENGTH)
                return g;
        g = calloc(1, sizeof *g);
        if (!g)
                return NULL;
        strcpy(g->name, name);
        g->revision = gs->forgotten_revision;
        if (index_add(&gs->by_name, &g->item, group_hash(gs, name)) < 0) {
                free(g);
                return NULL;
        }
        return g;
}

void group_release(Groups *gs, Group *g)
{
        if (group_is_all(g) || g->n_leases > 0 || g->long_polls)
                return;
        assert(!g->list.plain);
        /* A group that comes back, or that somebody asks for meanwhile, must not have the revision of an
         * earlier list. */
        gs->forgotten_revision = MAX(gs->forgotten_revision, g->revision);
        index_remove(&gs->by_name, &g->item);
        free(g);
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
                l = g->first; /* its "previous" is the last */
        return group_is_all(g) ? l->prev : l->group_prev;
}

void groups_link(Groups *gs, Lease *l)
{
        DL_APPEND(gs->all.first, l);
        gs->all.n_leases++;
        DL_APPEND2(l->group->first, l, group_prev, group_next);
        l->group->n_leases++;
}

void groups_unlink(Groups *gs, Lease *l)
{
        DL_DELETE(gs->all.first, l);
        gs->all.n_leases--;
        DL_DELETE2(l->group->first, l, group_prev, group_next);
        l->group->n_leases--;
}

uint64_t groups_next_revision(Groups *gs)
{
        return ++gs->revision;
}

void group_touch(Groups *gs, Group *g)
{
        g->revision = gs->revision;
        gs->changed(g, gs->userdata);
}

void groups_announce(Groups *gs, Lease *l)
{
        l->revision = groups_next_revision(gs);
        group_touch(gs, l->group);
        group_touch(gs, &gs->all);
}

const char *group_revision(const Groups *gs, const Group *g, char buffer[static REVISION_MAX])
{
        (void) snprintf(buffer, REVISION_MAX, "%s-%" PRIu64, gs->epoch,
                        g ? g->revision : gs->forgotten_revision);
        return buffer;
}

int revision_parse(const Groups *gs, const char *text, uint64_t *ret)
{
        const char *rest = str_after_prefix(text, gs->epoch);

        return rest && rest[0] == '-' ? parse_u64(rest + 1, 0, UINT64_MAX, ret) : -EINVAL;
}
