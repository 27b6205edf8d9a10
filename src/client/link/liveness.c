/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/liveness.h"

void liveness_heard(Peer *p)
{
        p->link.heard = true;
}

void liveness_stop(Peer *p)
{
        p->link.watched = p->link.pinged = p->link.heard = p->link.stuck = false;
}

static void watch_on(Peer *p)
{
        p->link.watched = timer_arm_in(&p->timer, p->client->config.policy.ack_timeout_usec / 2) >= 0;
}

/* It takes output that it had not taken for a whole tick: its process reads. That new output is taken says
 * nothing, since a kernel takes it. */
static bool takes_again(Peer *p)
{
        const Buffer *b = connection_output(p->link.connection);
        const uint64_t output = b->consumed + buffer_size(b);
        const uint64_t accepted = output - MIN(connection_unsent(p->link.connection), output);
        const bool again = p->link.stuck && accepted > p->link.accepted;

        p->link.stuck = accepted < p->link.output;
        p->link.output = output;
        p->link.accepted = accepted;
        return again;
}

void liveness_watch(Peer *p)
{
        if (p->link.watched)
                return;
        (void) takes_again(p);
        p->link.heard = p->link.stuck = false;
        watch_on(p);
}

static void ping(Peer *p)
{
        (void) !frame_encode(connection_output(p->link.connection), &(Frame){.type = FRAME_PING});
        connection_flush(p->link.connection);
}

bool liveness_check(Peer *p)
{
        const bool takes = takes_again(p);
        const bool lives = p->link.heard || takes || timer_late(&p->timer) > HELD_UP_USEC;

        if (!lives && p->link.pinged)
                return false;
        p->link.heard = false;
        p->link.pinged = !lives;
        p->link.watched = false;
        if (!lives)
                ping(p);
        if (!lives || p->link.n_in_flight > 0)
                watch_on(p);
        return true;
}
