/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/paths.h"

#include <errno.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "runtime/directories.h"

int paths_socket(const char *name, char **ret)
{
        _cleanup_free_ char *directory = NULL;
        int r = directory_of_sockets(&directory);

        if (r < 0)
                return r;
        char *address = str_format("unix:%s/%s", directory, name);
        if (!address)
                return -ENOMEM;
        *ret = address;
        return 0;
}

int paths_state_file(const char *given, const char *role, const char *name, char **ret, Error *error)
{
        _cleanup_free_ char *directory = NULL;
        int r;

        if (given)
                r = mkdir_parents(given, 0700);
        else
                r = directory_of_state(role, &directory);
        if (r < 0)
                return error_set(error, r, "cannot make the state directory %s: %s", given ?: "",
                                strerror(-r));
        char *path = str_format("%s/%s", given ?: directory, name);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}
