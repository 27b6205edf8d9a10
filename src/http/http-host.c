/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-host.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The name without the port; false: it is too long for a name. */
static bool read_name(const char *host, char ret[static NI_MAXHOST])
{
        const size_t n = strcspn(host, ":");

        if (n >= NI_MAXHOST)
                return false;
        memcpy(ret, host, n);
        ret[n] = '\0';
        return true;
}

static bool is_this_host(const char *name)
{
        char own[256];

        return gethostname(own, sizeof own) == 0 && strcasecmp(name, own) == 0;
}

bool http_host_is_own(const char *host)
{
        char name[NI_MAXHOST];
        struct in_addr address;

        if (host[0] == '[') /* an IPv6 address */
                return true;
        return read_name(host, name) &&
               (!strchr(name, '.') || inet_pton(AF_INET, name, &address) == 1 || is_this_host(name));
}
