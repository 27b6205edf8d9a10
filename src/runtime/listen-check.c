/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/listen.h"

#include <errno.h>

int listeners_check_security(const ListenerSet *set, bool allow_insecure, Error *error)
{
        char text[ADDRESS_STRING_MAX];

        for (size_t i = 0; i < set->n && !allow_insecure; i++)
                if (!address_is_local(&set->listeners[i].address))
                        return error_set(error, -EPERM,
                                        "%s can be reached from other hosts without TLS; to allow that, set "
                                        "AllowInsecure=yes",
                                        address_format(&set->listeners[i].address, text));
        return 0;
}
