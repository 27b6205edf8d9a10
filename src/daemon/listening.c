/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/listening.h"

#include <errno.h>

#include "base/log.h"

#define UNIX_MODE 0660

static int bind_all(ListenerSet *set, const ListenSpec *spec, char *const *addresses, Error *error)
{
        Address address;
        int r = 0;

        for (char *const *text = addresses; *text && r >= 0; text++) {
                r = spec->parse(*text, &address, error);
                if (r >= 0)
                        r = listeners_bind(set, &address, UNIX_MODE, error);
        }
        return r;
}

int listening_open(ListenerSet *set, const ListenSpec *spec, Error *error)
{
        const bool given = spec->addresses && spec->addresses[0];
        char text[ADDRESS_STRING_MAX];
        int r;

        r = listeners_inherit(set, error);
        if (r < 0)
                return r;
        if (given && (r == 0 || spec->also))
                r = bind_all(set, spec, spec->addresses, error);
        else if (r == 0) {
                if (!spec->defaults || !spec->defaults[0])
                        return error_set(error, -ENXIO, "cannot find the runtime directory: set Listen=");
                r = bind_all(set, spec, spec->defaults, error);
        }
        if (r >= 0)
                r = listeners_check_security(set, spec->allow_insecure, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < set->n; i++)
                log_info("Listening on %s", address_format(&set->listeners[i].address, text));
        return 0;
}
