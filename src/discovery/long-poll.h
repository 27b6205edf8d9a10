/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests that wait until the list of a group changes. Each has a deadline, because the server does not
 * notice when the peer of a suspended request disconnects. */

#include "discovery/list.h"

#define LONG_POLLS_MAX 1024u /* over Unix sockets, and as many over TCP */

typedef struct LongPolls {
        Groups *groups;
        Lists *lists;
        size_t n[2]; /* [1]: over Unix sockets */
        bool closed; /* nothing waits any more */
        Heap due;
        Timer timer;
} LongPolls;

int long_polls_init(LongPolls *ps, Loop *loop, Lists *lists); /* lent. 0 or negative errno */
void long_polls_clear(LongPolls *ps); /* answers all, and closes; before lists_clear() */

/* 0, -ESHUTDOWN after long_polls_clear(), -ENOSPC, -ENOMEM, or -EINVAL: no group can have that name. After
 * an error the caller answers the request. */
int long_polls_add(LongPolls *ps, HttpExchange *x, const ListQuery *q) _must_use_;
/* The group has changed: all that wait for it are answered soon. */
void long_polls_wake(LongPolls *ps, Group *g);
