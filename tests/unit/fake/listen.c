/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake/listen.h"

#include <errno.h>
#include <stdlib.h>

static int failure;

void fake_listen_fail(int error)
{
        failure = error;
}

int listeners_inherit(ListenerSet *set, Error *error)
{
        return 0;
}

int listeners_bind(ListenerSet *set, const Address *address, unsigned unix_mode, Error *error)
{
        int r = -failure;

        failure = 0;
        if (r < 0)
                return error_set(error, r, "cannot listen");
        set->listeners = reallocarray(set->listeners, set->n + 1, sizeof *set->listeners);
        assert(set->listeners);
        set->listeners[set->n++] = (Listener){.fd = -1, .address = *address};
        return 0;
}

int listeners_check_security(const ListenerSet *set, bool allow_insecure, Error *error)
{
        return 0;
}

int listener_accept(const Listener *l)
{
        return -EAGAIN;
}

void listeners_clear(ListenerSet *set)
{
        free(set->listeners);
        *set = (ListenerSet){};
}
