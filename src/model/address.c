/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/parse-util.h"
#include "base/str-util.h"

static int parse_unix(const char *path, Address *ret, Error *error)
{
        if (path[0] != '/')
                return error_set(error, -EINVAL, "Unix socket path \"%s\" is not absolute", path);
        if (strlen(path) >= sizeof((struct sockaddr_un *) NULL)->sun_path)
                return error_set(error, -EINVAL, "Unix socket path \"%s\" is longer than a socket can have",
                                path);

        *ret = (Address){.kind = ADDRESS_UNIX};
        strcpy(ret->host, path);
        return 0;
}

static int parse_host_port(const char *s, Address *ret, Error *error)
{
        Address a = {.kind = ADDRESS_TCP};
        const char *host = s, *colon = strrchr(s, ':');
        uint64_t port;

        if (!colon || parse_u64(colon + 1, 0, UINT16_MAX, &port) < 0)
                return error_set(error, -EINVAL, "\"%s\" is not of the form HOST:PORT, PORT 0 to 65535", s);

        size_t n = (size_t) (colon - host);
        bool bracketed = n >= 2 && host[0] == '[' && host[n - 1] == ']';
        if (bracketed) {
                host++;
                n -= 2;
        }
        if (n == 0 || n >= 256)
                return error_set(error, -EINVAL, "\"%s\" has no host, or too long a one", s);
        memcpy(a.host, host, n);
        a.port = (uint16_t) port;

        struct in6_addr in6;
        if (bracketed ? inet_pton(AF_INET6, a.host, &in6) != 1 : strpbrk(a.host, ":/[] \t") != NULL)
                return error_set(error, -EINVAL, "\"%s\" has no valid host (IPv6 is written [::1]:PORT)", s);

        *ret = a;
        return 0;
}

int address_parse(const char *s, Address *ret, Error *error)
{
        const char *rest;

        rest = str_after_prefix(s, "unix:");
        if (rest)
                return parse_unix(rest, ret, error);
        rest = str_after_prefix(s, "tcp:");
        if (rest)
                return parse_host_port(rest, ret, error);
        return error_set(error, -EINVAL, "address \"%s\" is neither unix:/PATH nor tcp:HOST:PORT", s);
}

int address_parse_url(const char *s, Address *ret, Error *error)
{
        char host_port[ADDRESS_MAX_LENGTH];

        const char *rest = str_after_prefix(s, "http://");
        if (!rest)
                return address_parse(s, ret, error);

        size_t n = strcspn(rest, "/");
        if (n >= sizeof host_port || (rest[n] == '/' && rest[n + 1] != '\0'))
                return error_set(error, -EINVAL, "\"%s\" is not of the form http://HOST:PORT", s);
        memcpy(host_port, rest, n);
        host_port[n] = '\0';
        return parse_host_port(host_port, ret, error);
}

const char *address_format(const Address *a, char buffer[static ADDRESS_STRING_MAX])
{
        if (a->kind == ADDRESS_UNIX)
                (void) snprintf(buffer, ADDRESS_STRING_MAX, "unix:%s", a->host);
        else
                (void) snprintf(buffer, ADDRESS_STRING_MAX,
                                strchr(a->host, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u", a->host, a->port);
        return buffer;
}

int address_from_sockaddr(const struct sockaddr *sa, socklen_t n, Address *ret)
{
        Address a = {};

        if (sa->sa_family == AF_UNIX) {
                const struct sockaddr_un *un = (const struct sockaddr_un *) (const void *) sa;
                if (n <= offsetof(struct sockaddr_un, sun_path) || un->sun_path[0] != '/')
                        return -EAFNOSUPPORT;
                a.kind = ADDRESS_UNIX;
                (void) snprintf(a.host, sizeof a.host, "%.*s", (int) sizeof un->sun_path, un->sun_path);
        } else if (sa->sa_family == AF_INET) {
                const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) sa;
                a.kind = ADDRESS_TCP;
                a.port = ntohs(in->sin_port);
                (void) inet_ntop(AF_INET, &in->sin_addr, a.host, sizeof a.host);
        } else if (sa->sa_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) (const void *) sa;
                a.kind = ADDRESS_TCP;
                a.port = ntohs(in6->sin6_port);
                (void) inet_ntop(AF_INET6, &in6->sin6_addr, a.host, sizeof a.host);
        } else
                return -EAFNOSUPPORT;

        *ret = a;
        return 0;
}

int address_to_sockaddr(const Address *a, struct sockaddr_storage *ret, socklen_t *ret_size)
{
        struct sockaddr_storage ss = {};

        if (a->kind == ADDRESS_UNIX) {
                struct sockaddr_un *un = (struct sockaddr_un *) &ss;
                un->sun_family = AF_UNIX;
                if (strlen(a->host) >= sizeof un->sun_path)
                        return -EINVAL;
                memcpy(un->sun_path, a->host, strlen(a->host) + 1);
                *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(un->sun_path) + 1);
                *ret = ss;
                return 0;
        }

        struct sockaddr_in *in = (struct sockaddr_in *) &ss;
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &ss;
        if (inet_pton(AF_INET, a->host, &in->sin_addr) == 1) {
                in->sin_family = AF_INET;
                in->sin_port = htons(a->port);
                *ret_size = sizeof *in;
        } else if (inet_pton(AF_INET6, a->host, &in6->sin6_addr) == 1) {
                in6->sin6_family = AF_INET6;
                in6->sin6_port = htons(a->port);
                *ret_size = sizeof *in6;
        } else
                return -EINVAL;
        *ret = ss;
        return 0;
}

bool address_is_local(const Address *a)
{
        struct in_addr in;
        struct in6_addr in6;

        if (a->kind == ADDRESS_UNIX || str_equal(a->host, "localhost"))
                return true;
        if (inet_pton(AF_INET, a->host, &in) == 1)
                return ntohl(in.s_addr) >> 24 == 127;
        return inet_pton(AF_INET6, a->host, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

bool address_is_wildcard(const Address *a)
{
        struct in_addr in;
        struct in6_addr in6;

        if (a->kind != ADDRESS_TCP)
                return false;
        if (inet_pton(AF_INET, a->host, &in) == 1)
                return in.s_addr == htonl(INADDR_ANY);
        return inet_pton(AF_INET6, a->host, &in6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&in6);
}
