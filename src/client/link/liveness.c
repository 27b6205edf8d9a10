/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/liveness.h"

void liveness_heard(Peer *p)
{
        p->link.heard = true;
}

void liveness_stop(Peer *p)
{
        p->link.watched = p->link.pinged = p->link.heard = false;
        p->link.unsent = 0;
}

static void watch_on(Peer *p)
{
        p->link.watched = timer_arm_in(&p->timer, p->client->config.policy.ack_timeout_usec / 2) >= 0;
}

void liveness_watch(Peer *p)
{
        if (p->link.watched)
                return;
        p->link.heard = false;
        p->link.unsent = 0;
        watch_on(p);
}

static void ping(Peer *p)
{
        (void) !frame_encode(connection_output(p->link.connection), &(Frame){.type = FRAME_PING});
        connection_flush(p->link.connection);
}

bool liveness_check(Peer *p)
{
        const size_t unsent = connection_unsent(p->link.connection);
        const bool lives = p->link.heard || unsent < p->link.unsent || timer_late(&p->timer) > HELD_UP_USEC;

        if (!lives && p->link.pinged)
                return false;
        p->link.heard = false;
        p->link.unsent = unsent;
        p->link.pinged = !lives;
        p->link.watched = false;
        if (!lives)
                ping(p);
        if (!lives || p->link.n_in_flight > 0)
                watch_on(p);
        return true;
}
