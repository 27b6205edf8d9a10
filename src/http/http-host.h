/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* Whether a Host header may name a loopback address of this host: "localhost", an IP address, a name without
 * a dot, or the name of this host; each with or without a port. A web page can make a name of its own domain
 * point to loopback, but none of these. */
bool http_host_is_own(const char *host);
