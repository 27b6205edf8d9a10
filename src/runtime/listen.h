/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Listening stream sockets: from systemd, or bound here. Connections over TCP end when the peer has not been
 * heard of for ACCEPTED_SILENCE_USEC, so those of hosts that vanished do not use up what may be open. */

#include "model/address.h"

typedef struct Listener {
        int fd;          /* non-blocking, close-on-exec; owned by the set */
        Address address; /* as bound: port 0 has become the real one */
        bool inherited;  /* from systemd: its path is never unlinked by us */
} Listener;

typedef struct ListenerSet {
        Listener *listeners;
        size_t n;
} ListenerSet;

/* Takes the sockets that systemd passed. Returns how many (0: none), or negative errno with the reason. */
int listeners_inherit(ListenerSet *set, Error *error);

/* Binds one more. A stale Unix socket file that nobody listens on is replaced; missing parent directories
 * are made (0755). Unix sockets get `unix_mode`. -EADDRINUSE when somebody listens there. */
int listeners_bind(ListenerSet *set, const Address *address, unsigned unix_mode, Error *error);

/* Refuses TCP beyond loopback unless `allow_insecure`. 0 or -EPERM with a sentence that names
 * AllowInsecure=. */
int listeners_check_security(const ListenerSet *set, bool allow_insecure, Error *error);

/* The descriptor of the next connection, non-blocking and close-on-exec, for connection_new() or
 * connection_refuse(). -EAGAIN: there is none; -EMFILE, -ENFILE: no descriptor is free. */
int listener_accept(const Listener *l);

/* Closes all and unlinks the Unix paths that were bound here. */
void listeners_clear(ListenerSet *set);
