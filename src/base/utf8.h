/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* Decodes the first character of `n` bytes. Returns its length in bytes; 0 where there is none: n is 0, or
 * the bytes are not UTF-8 (cut off, overlong, a surrogate, beyond U+10FFFF). */
size_t utf8_decode(const void *data, size_t n, uint32_t *ret);

/* True when all bytes are UTF-8 and no character is NUL. True for n = 0. */
bool utf8_is_text(const void *data, size_t n);
