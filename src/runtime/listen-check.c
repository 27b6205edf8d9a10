/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/listen.h"

#include <errno.h>

int listen_check_security(const Address *address, Error *error)
{
        char text[ADDRESS_STRING_MAX];

        return address_is_local(address) ? 0
                                         : error_set(error, -EPERM,
                                                           "%s can be reached from other hosts without TLS; "
                                                           "to allow that, "
                                                           "set AllowInsecure=yes",
                                                           address_format(address, text));
}

int listeners_check_security(const ListenerSet *set, bool allow_insecure, Error *error)
{
        int r = 0;

        for (size_t i = 0; i < set->n && !allow_insecure && r >= 0; i++)
                r = listen_check_security(&set->listeners[i].address, error);
        return r;
}
