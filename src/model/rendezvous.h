/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Highest-random-weight ("rendezvous") hashing: of several receivers, a key belongs to the one with the
 * largest weight. When a receiver comes or goes, only the keys that it gets or had move. */

#include <systemd/sd-id128.h>

#include "base/macro.h"

uint64_t rendezvous_weight(sd_id128_t receiver, const char *key);
