/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which messages a call is about: a page of those in some states, newest first. */

#include "client/bus/bus.h"

typedef struct MessageFilter {
        unsigned states; /* bits; 0: the caller has not said */
        uint32_t limit;  /* messages of one page */
        uint64_t before; /* only messages with a lower number */
} MessageFilter;

/* Reads an a{sv}: states, limit, after. Returns 0; -EINVAL, with a sentence in `error`; or another negative
 * errno. */
int bus_read_message_filter(sd_bus_message *call, MessageFilter *ret, Error *error);

/* What the caller passes as "after" to get the next page: "" if this one was the last. */
#define PAGE_NEXT_MAX 24u
void bus_filter_next(const MessageFilter *filter, const OutboxRecord *page, size_t n,
                char ret[static PAGE_NEXT_MAX]);
