/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/lease.h"

#include <errno.h>
#include <stdio.h>

#include "base/str-util.h"
#include "wire/receiver-json.h"

static size_t size_of(size_t name, size_t addresses)
{
        return offsetof(Lease, texts) + name + addresses;
}

Lease *lease_new(Slab *slab, const ReceiverInfo *info)
{
        _cleanup_free_ char *addresses = receiver_json_addresses(info);
        size_t n = strlen(info->name) + 1, m = addresses ? strlen(addresses) + 1 : 0;
        Lease *l = addresses ? slab_new(slab, size_of(n, m)) : NULL;

        if (!l)
                return NULL;
        static_assert(NAME_MAX_LENGTH < UINT8_MAX, "addresses_from is one byte");
        /* The texts begin in the padding at the end of the structure. So the allocation may be smaller than
         * sizeof(Lease), and only the part before the texts is cleared. */
        memset(l, 0, offsetof(Lease, texts));
        l->id = info->id;
        l->instance = info->instance;
        l->capacity = info->capacity;
        l->plain = info->plain;
        l->draining = info->draining;
        l->addresses_from = (uint8_t) n;
        heap_item_init(&l->expiry);
        memcpy(l->texts, info->name, n);
        memcpy(l->texts + n, addresses, m);
        return l;
}

void lease_free(Slab *slab, Lease *l)
{
        slab_free(slab, l, size_of(l->addresses_from, strlen(lease_addresses(l)) + 1));
}

const char *lease_addresses(const Lease *l)
{
        return l->texts + l->addresses_from;
}

uint64_t lease_due(const Lease *l)
{
        return usec_add(l->renewed, l->lease_ms * USEC_PER_MSEC);
}

bool lease_equal(const Lease *a, const Lease *b)
{
        return sd_id128_equal(a->id, b->id) && sd_id128_equal(a->instance, b->instance) &&
               a->group == b->group && a->labels == b->labels && a->host == b->host &&
               a->capacity == b->capacity && a->plain == b->plain && a->draining == b->draining &&
               str_equal(a->texts, b->texts) && str_equal(lease_addresses(a), lease_addresses(b));
}

/* Keys and values are names, so the text escapes nothing, and a quoted pair matches only itself. */
bool lease_has_labels(const Lease *l, const Label *selectors, size_t n)
{
        char pair[2 * NAME_MAX_LENGTH + 8];

        for (size_t i = 0; i < n; i++) {
                (void) snprintf(pair, sizeof pair, "\"%s\":\"%s\"", selectors[i].key, selectors[i].value);
                if (!strstr(l->labels->text, pair))
                        return false;
        }
        return true;
}

static char *put(char *at, const char *text)
{
        return stpcpy(at, text);
}

static char *put_id(char *at, const char *field, sd_id128_t id)
{
        if (sd_id128_is_null(id))
                return at;
        at = put(at, field);
        (void) sd_id128_to_uuid_string(id, at);
        return put(at + SD_ID128_UUID_STRING_MAX - 1, "\",");
}

int lease_print(const Lease *l, const char *group, Buffer *out)
{
        const char *addresses = lease_addresses(l);
        size_t most = 256 + strlen(l->texts) + strlen(group) + strlen(addresses) + strlen(l->labels->text) +
                      (l->host ? strlen(l->host->text) : 0);
        char *start = (char *) buffer_reserve(out, most), *at = start;

        if (!start)
                return -ENOMEM;
        at = put(at, "{");
        at = put_id(at, "\"id\":\"", l->id);
        at = put_id(at, "\"instance\":\"", l->instance);
        at = put(put(at, "\"name\":\""), l->texts);
        at = put(put(at, "\",\"group\":\""), group);
        at = put(put(at, "\",\"labels\":"), l->labels->text);
        at = put(put(at, ",\"addresses\":"), addresses);
        if (l->host && l->host->text[0])
                at = put(put(at, ","), l->host->text);
        at += sprintf(at, ",\"capacity\":%u", l->capacity);
        if (l->plain)
                at = put(at, ",\"plain\":true");
        if (l->draining)
                at = put(at, ",\"draining\":true");
        buffer_added(out, (size_t) (at - start));
        return 0;
}
