/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/pause.h"

#include "base/random-pool.h"
#include "model/backoff.h"

static const Backoff backoff = {100 * USEC_PER_MSEC, 5 * USEC_PER_SEC};

static void on_timer(void *userdata)
{
        Peer *p = userdata;

        p->pause.on = false;
        p->client->link.room(p);
}

int pause_init(Peer *p)
{
        return timer_init(&p->pause.timer, p->client->loop, "pause", on_timer, p);
}

void pause_clear(Peer *p)
{
        timer_clear(&p->pause.timer);
}

void pause_begin(Peer *p, uint64_t at_least_usec)
{
        if (p->pause.on)
                return;
        p->pause.failures++;
        p->pause.probing = true;
        p->pause.on = timer_arm_in(&p->pause.timer,
                                      MAX(backoff_delay(&backoff, p->pause.failures, random_u64()),
                                                      at_least_usec)) >= 0;
}

void pause_end(Peer *p)
{
        timer_disarm(&p->pause.timer);
        p->pause.on = false;
}

void pause_forget(Peer *p)
{
        pause_end(p);
        p->pause.probing = false;
        p->pause.probe = NULL;
        p->pause.failures = 0;
}

void pause_answered(Peer *p, const Message *m, bool over)
{
        if (p->pause.probe == m)
                pause_forget(p);
        else if (over)
                pause_end(p);
}
