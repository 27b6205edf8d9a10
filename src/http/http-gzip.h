/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/buffer.h"

/* Appends `data` compressed, fast rather than small: it is done on the loop. 0 or -ENOMEM. */
int gzip_append(Buffer *out, const void *data, size_t size) _must_use_;

/* What an Accept-Encoding header (NULL: there is none) says of gzip. */
bool gzip_is_accepted(const char *header);
