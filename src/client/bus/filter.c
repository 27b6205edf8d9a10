/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "client/bus/reply.h"

#define PAGE_DEFAULT 100u
#define PAGE_MAX     1000u

static int add_state(const char *word, void *userdata, Error *error)
{
        MessageFilter *filter = userdata;
        int state = delivery_state_from_string(word);

        if (state < 0)
                return error_set(error, -EINVAL, "states: there is no state \"%s\"", word);
        filter->states |= 1u << state;
        return 0;
}

static int take(sd_bus_message *call, const char *key, void *userdata, Error *error)
{
        MessageFilter *filter = userdata;
        const char *after;
        int r;

        if (str_equal(key, "states")) {
                r = bus_read_words(call, add_state, filter, error);
                return r >= 0 && filter->states == 0 ? error_set(error, -EINVAL, "states: there is none")
                                                     : r;
        }
        if (str_equal(key, "limit")) {
                r = sd_bus_message_read(call, "v", "u", &filter->limit);
                if (r >= 0 && (filter->limit < 1 || filter->limit > PAGE_MAX))
                        return error_set(error, -EINVAL, "limit: from 1 to %u", PAGE_MAX);
                return r;
        }
        if (!str_equal(key, "after"))
                return -ENOENT;
        r = sd_bus_message_read(call, "v", "s", &after);
        if (r >= 0 && after[0] != '\0' && parse_u64(after, 1, UINT64_MAX, &filter->before) < 0)
                return error_set(error, -EINVAL, "after: not the \"next\" of an earlier page");
        return r;
}

int bus_read_message_filter(sd_bus_message *call, MessageFilter *ret, Error *error)
{
        *ret = (MessageFilter){.limit = PAGE_DEFAULT, .before = UINT64_MAX};
        return bus_read_filter(call, take, ret, error);
}

void bus_filter_next(const MessageFilter *filter, const OutboxRecord *page, size_t n,
                char ret[static PAGE_NEXT_MAX])
{
        ret[0] = '\0';
        if (n == filter->limit)
                (void) snprintf(ret, PAGE_NEXT_MAX, "%" PRIu64, page[n - 1].number);
}
