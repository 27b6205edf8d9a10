/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only source of randomness: the kernel. */

#include "base/macro.h"

int random_bytes(void *ret, size_t n); /* 0 or negative errno */
