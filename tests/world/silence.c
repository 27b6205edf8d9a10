/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TCP notices that nothing comes back: TCP_USER_TIMEOUT and keepalive. Nothing is simulated while both
 * machines hear each other. */

#include <errno.h>

#include "world/socket.h"

/* Probes are not sent at exact times. */
#define SLACK 8u

static bool is_unheard(const TestSocket *s)
{
        const TestSocket *peer = s->peer;

        if (s->silence_usec == 0 || s->is_closed || s->error < 0 || !machine_may_run(s->machine))
                return false;
        if (peer->is_vanished || (s->is_deaf && peer->is_closed))
                return true;
        /* A peer that answers, but takes no byte for so long, counts too. */
        return s->is_blocked || !link_carries(s->link) || !link_carries(peer->link);
}

static void on_silence(void *userdata)
{
        TestSocket *s = userdata;

        if (is_unheard(s))
                socket_give_up(s, -ETIMEDOUT);
}

void silence_init(TestSocket *s)
{
        s->silence = (WorldCall){.fn = on_silence, .userdata = s};
        heap_item_init(&s->silence.item);
}

void silence_update(TestSocket *s)
{
        if (!is_unheard(s))
                event_unset(&s->silence);
        else if (!event_is_set(&s->silence))
                event_set(&s->silence,
                                world_now() + s->silence_usec + world_random(1 + s->silence_usec / SLACK));
}
