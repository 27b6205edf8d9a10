/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sockets that a daemon listens on. */

#include "runtime/listen.h"

typedef struct ListenSpec {
        char *const *addresses; /* Listen=, NULL-terminated or NULL */
        char *const *defaults;  /* where neither systemd nor Listen= gives one; NULL or empty: there is none
                                 */
        int (*parse)(const char *text, Address *ret,
                        Error *error); /* address_parse() or address_parse_url() */
        bool also;                     /* `addresses` are bound in addition to the sockets from systemd */
        bool allow_insecure;           /* AllowInsecure= */
} ListenSpec;

/* Takes the sockets from systemd; without one (or `also`), binds `addresses`; without any, `defaults`. 0 or
 * negative errno with the reason; -EPERM where AllowInsecure= is missing. The caller calls listeners_clear()
 * in any case. */
int listening_open(ListenerSet *set, const ListenSpec *spec, Error *error);
