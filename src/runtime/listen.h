/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Listening sockets, from systemd or bound here. An accepted TCP connection ends when its peer has been
 * silent for ACCEPTED_SILENCE_USEC, so hosts that vanish do not use up the connections. */

#include <sys/types.h>

#include "model/address.h"

typedef struct Listener {
        int fd;          /* non-blocking, close-on-exec; owned by the set */
        Address address; /* with the real port instead of port 0 */
        bool inherited;  /* from systemd, which also removes its path */
        unsigned mode;   /* of the file, if it is a Unix socket bound here */
        dev_t device;    /* of that file, and its inode; 0: not known */
        ino_t inode;
} Listener;

typedef struct ListenerSet {
        Listener *listeners;
        size_t n;
} ListenerSet;

/* Takes the sockets that systemd has passed. Returns their number, or negative errno with the reason. */
int listeners_inherit(ListenerSet *set, Error *error);

/* Binds one more. For a Unix socket: makes missing parent directories (0755), replaces a socket file on
 * which nobody listens, and sets the mode `unix_mode`. -EADDRINUSE: somebody listens there. */
int listeners_bind(ListenerSet *set, const Address *address, unsigned unix_mode, Error *error);

/* 0, or -EPERM with the reason when other hosts can reach the address, or a socket while `allow_insecure` is
 * false. */
int listen_check_security(const Address *address, Error *error);
int listeners_check_security(const ListenerSet *set, bool allow_insecure, Error *error);

/* The descriptor of the next connection, non-blocking and close-on-exec, for connection_new() or
 * connection_refuse(). -EAGAIN: there is none; -EMFILE, -ENFILE: no descriptor is free. */
int listener_accept(const Listener *l);

/* True when the file of a Unix socket is gone, or another one is in its place. */
bool listener_is_lost(const Listener *l);
/* Binds such a socket again, if it was bound here. Its descriptor changes. Negative errno with the reason:
 * nothing has changed. */
int listener_renew(Listener *l, Error *error);

/* Closes all sockets and removes the files of the Unix sockets that were bound here. */
void listeners_clear(ListenerSet *set);
