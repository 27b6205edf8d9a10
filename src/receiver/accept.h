/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Takes connections from the listening sockets while that is permitted and descriptors are free. */

#include "receiver/conn.h"
#include "runtime/listen.h"
#include "runtime/watch.h"

typedef struct Acceptor {
        /* Set by the root before acceptor_start(). */
        Loop *loop;
        Conns *conns;
        const Condition *condition;

        ListenerSet listeners;
        struct Accepting *accepting; /* one for each listener */
        bool on;
        size_t full_at; /* number of connections when descriptors ran out; 0: they have not */
} Acceptor;

/* Accepts on all of `listeners`, which are open already. 0 or negative errno. */
int acceptor_start(Acceptor *a);
void acceptor_clear(Acceptor *a); /* closes the listeners */

/* Looks whether the files of Unix sockets are still there, and binds those again that are gone. */
void acceptor_check(Acceptor *a);

/* To be called when the permission or the number of connections may have changed. */
void acceptor_update(Acceptor *a);
