/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rendezvous (highest random weight) hashing: a key belongs to the receiver with the largest weight. When a
 * receiver comes or goes, only its own keys move. */

#include <systemd/sd-id128.h>

#include "base/macro.h"

uint64_t rendezvous_weight(sd_id128_t receiver, const char *key);
