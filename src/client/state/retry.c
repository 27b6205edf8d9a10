/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/retry.h"

#include <utlist.h>

#define RETRY_USEC USEC_PER_SEC

static void on_timer(void *userdata)
{
        Retries *r = userdata;

        /* Only the items that were in the list at the beginning. */
        for (unsigned n = r->n_items; n > 0 && r->items; n--) {
                RetryItem *i = r->items;
                void (*again)(RetryItem * i) = i->again;

                retry_cancel(r, i);
                again(i);
        }
}

int retries_init(Retries *r, Loop *loop)
{
        *r = (Retries){};
        return timer_init(&r->timer, loop, "retry", on_timer, r);
}

void retries_drop(Retries *r)
{
        while (r->items) {
                RetryItem *i = r->items;

                retry_cancel(r, i);
                if (i->drop)
                        i->drop(i);
        }
}

void retries_clear(Retries *r)
{
        timer_clear(&r->timer);
        r->items = NULL;
        r->n_items = 0;
}

void retry_soon(Retries *r, RetryItem *i, void (*again)(RetryItem *i))
{
        if (!i->again) {
                i->again = again;
                DL_APPEND(r->items, i);
                r->n_items++;
        }
        if (!timer_is_armed(&r->timer))
                (void) timer_arm_in(&r->timer, RETRY_USEC);
}

void retry_cancel(Retries *r, RetryItem *i)
{
        if (!i->again)
                return;
        i->again = NULL;
        DL_DELETE(r->items, i);
        r->n_items--;
}
