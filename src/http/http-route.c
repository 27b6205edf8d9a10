/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-route.h"

#include "base/str-util.h"

static bool pattern_matches(const char *pattern, const char *path, char *argument)
{
        while (*pattern) {
                if (*pattern == '*') {
                        size_t n = strcspn(path, "/");
                        if (n == 0 || n >= ROUTE_ARGUMENT_MAX)
                                return false;
                        memcpy(argument, path, n);
                        argument[n] = '\0';
                        path += n;
                        pattern++;
                } else if (*pattern++ != *path++)
                        return false;
        }
        return *path == '\0';
}

int http_route_find(const HttpRoute *routes, size_t n, const char *method, const char *path, HttpMatch *ret)
{
        *ret = (HttpMatch){};
        for (size_t i = 0; i < n; i++) {
                if (!pattern_matches(routes[i].pattern, path, ret->argument))
                        continue;
                if (str_equal(routes[i].method, method)) {
                        ret->route = routes + i;
                        return 200;
                }
                size_t used = strlen(ret->allow);
                if (used + strlen(routes[i].method) + 3 > sizeof ret->allow)
                        continue;
                if (used > 0)
                        strcat(ret->allow, ", ");
                strcat(ret->allow, routes[i].method);
        }
        return ret->allow[0] ? 405 : 404;
}
