/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/lease-index.h"

#include <errno.h>

#include "base/str-util.h"

static uint32_t hash_id(const LeaseIndex *x, sd_id128_t id)
{
        return index_hash(x->hash_seed, &id, sizeof id);
}

static uint32_t hash_name(const LeaseIndex *x, const char *name)
{
        return index_hash(x->hash_seed, name, strlen(name));
}

Lease *lease_index_find(const LeaseIndex *x, sd_id128_t id)
{
        IndexItem *i = index_first(&x->by_id, hash_id(x, id));

        while (i && !sd_id128_equal(CONTAINER_OF(i, Lease, id_item)->id, id))
                i = index_next(i);
        return i ? CONTAINER_OF(i, Lease, id_item) : NULL;
}

Lease *lease_index_find_name(const LeaseIndex *x, const char *name)
{
        IndexItem *i = index_first(&x->by_name, hash_name(x, name));

        while (i && !str_equal(lease_name(CONTAINER_OF(i, Lease, name_item)), name))
                i = index_next(i);
        return i ? CONTAINER_OF(i, Lease, name_item) : NULL;
}

int lease_index_add(LeaseIndex *x, Lease *l)
{
        if (index_add(&x->by_id, &l->id_item, hash_id(x, l->id)) < 0)
                return -ENOMEM;
        if (index_add(&x->by_name, &l->name_item, hash_name(x, lease_name(l))) < 0) {
                index_remove(&x->by_id, &l->id_item);
                return -ENOMEM;
        }
        return 0;
}

void lease_index_remove(LeaseIndex *x, Lease *l)
{
        index_remove(&x->by_id, &l->id_item);
        index_remove(&x->by_name, &l->name_item);
}

void lease_index_clear(LeaseIndex *x)
{
        index_clear(&x->by_id);
        index_clear(&x->by_name);
}
