/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/buffer.h"

/* Appends the compressed `data`. Fast rather than small, since it runs on the loop. 0, -ENOMEM, or -EFBIG
 * over 1 GiB. */
int gzip_append(Buffer *out, const void *data, size_t size) _must_use_;

/* Whether this Accept-Encoding header allows gzip. NULL (no header): no. */
bool gzip_is_accepted(const char *header);
