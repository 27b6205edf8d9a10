/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where something listens:
 *   unix:/run/ackgroup/receiver/1.sock    tcp:192.0.2.7:7481    tcp:[2001:db8::7]:7481    tcp:host.example:0
 * Discovery is also written as a URL: http://host:port (the same as tcp:host:port). */

#include <sys/socket.h>

#include "base/error.h"
#include "model/limits.h"

typedef enum AddressKind {
        ADDRESS_UNIX,
        ADDRESS_TCP,
} AddressKind;

typedef struct Address {
        AddressKind kind;
        char host[ADDRESS_MAX_LENGTH]; /* TCP: name or number, no brackets; Unix: the path */
        uint16_t port;                 /* TCP */
} Address;

/* 0, or -EINVAL with the reason in `error` (may be NULL). */
int address_parse(const char *s, Address *ret, Error *error);
int address_parse_url(const char *s, Address *ret, Error *error); /* accepts http://… too */

/* The text form; the buffer holds any address. */
#define ADDRESS_STRING_MAX (ADDRESS_MAX_LENGTH + 16)
const char *address_format(const Address *a, char buffer[static ADDRESS_STRING_MAX]);

/* From getsockname() or getpeername(). 0, or -EAFNOSUPPORT (other families, unnamed Unix sockets). */
int address_from_sockaddr(const struct sockaddr *sa, socklen_t n, Address *ret);

/* For a Unix address, or a TCP address whose host is a number. -EINVAL: a host name, which needs a lookup.
 */
int address_to_sockaddr(const Address *a, struct sockaddr_storage *ret, socklen_t *ret_size);

/* Reachable from this host only: Unix, or TCP on 127.0.0.0/8, ::1 or "localhost". */
bool address_is_local(const Address *a);
bool address_is_wildcard(const Address *a); /* TCP on 0.0.0.0 or :: */
