/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

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
        int r;

        if (str_equal(key, "states")) {
                r = bus_read_words(call, add_state, filter, error);
                return r >= 0 && filter->states == 0 ? error_set(error, -EINVAL, "states: there is none")
                                                     : r;
        }
        if (str_equal(key, "limit"))
                return bus_read_limit(call, PAGE_MAX, &filter->limit, error);
        return str_equal(key, "after") ? bus_read_after(call, UINT64_MAX, &filter->before, error) : -ENOENT;
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
