/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/directories.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "config.h"

/* $given wins: systemd sets it for units that run as another user. Without it root gets `system`, and others
 * get $variable/ackgroup or ~/fallback/ackgroup. */
static int find_directory(const char *given, const char *system, const char *variable, const char *fallback,
                char **ret)
{
        const char *value = getenv(variable), *home = getenv("HOME"), *directory = getenv(given);
        char *s;

        if (!str_empty(directory))
                s = strndup(directory, strcspn(directory, ":"));
        else if (geteuid() == 0)
                s = strdup(system);
        else if (!str_empty(value))
                s = str_format("%s/ackgroup", value);
        else if (fallback && !str_empty(home))
                s = str_format("%s/%s/ackgroup", home, fallback);
        else
                return -ENXIO;
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

int directory_of_state(const char *role, char **ret)
{
        const char *given = getenv("STATE_DIRECTORY");
        _cleanup_free_ char *top = NULL;
        char *s;
        int r;

        r = find_directory("STATE_DIRECTORY", "/var/lib/ackgroup", "XDG_STATE_HOME", ".local/state", &top);
        if (r < 0)
                return r;
        /* The directory from systemd is for this role alone. */
        if (!str_empty(given))
                s = TAKE_PTR(top);
        else
                s = str_format("%s/%s", top, role);
        if (!s)
                return -ENOMEM;
        r = mkdir_parents(s, 0700);
        if (r < 0) {
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

int directory_of_sockets(char **ret)
{
        return find_directory("RUNTIME_DIRECTORY", "/run/ackgroup", "XDG_RUNTIME_DIR", NULL, ret);
}

int directory_of_configuration(char **ret)
{
        return find_directory("CONFIGURATION_DIRECTORY", ACKGROUP_SYSCONFDIR "/ackgroup", "XDG_CONFIG_HOME",
                        ".config", ret);
}
