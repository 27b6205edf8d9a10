/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/pause.h"

#include "base/random-pool.h"
#include "model/backoff.h"

/* For room that is offered after a probe was refused: less than the second for which a receiver keeps it. */
static const Backoff backoff_offered = {100 * USEC_PER_MSEC, 500 * USEC_PER_MSEC};

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
        const uint64_t random = random_u64(), now = now_usec(CLOCK_BOOTTIME);
        uint64_t usec;

        if (p->pause.on)
                return;
        usec = MAX(backoff_delay(&BACKOFF_REFUSED, ++p->pause.failures, random), at_least_usec);
        p->pause.offered = usec_add(now,
                        p->pause.probing ? backoff_delay(&backoff_offered, p->pause.failures, random) : 0);
        p->pause.probing = true;
        p->pause.on = timer_arm_at(&p->pause.timer, usec_add(now, usec)) >= 0;
}

void pause_offered(Peer *p)
{
        if (now_usec(CLOCK_BOOTTIME) >= p->pause.offered)
                pause_end(p);
        else if (p->pause.on && p->pause.offered < p->pause.timer.due)
                (void) timer_arm_at(&p->pause.timer, p->pause.offered);
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
