/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utf8.h"

size_t utf8_decode(const void *data, size_t n, uint32_t *ret)
{
        static const struct {
                uint8_t mask, lead;
                uint32_t least;
        } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
        const uint8_t *p = data;

        for (size_t i = 0; i < ELEMENTSOF(forms) && i < n; i++) {
                if ((p[0] & forms[i].mask) != forms[i].lead)
                        continue;
                uint32_t c = p[0] & (uint8_t) ~forms[i].mask;
                for (size_t k = 1; k <= i; k++) {
                        if ((p[k] & 0xc0) != 0x80)
                                return 0;
                        c = c << 6 | (p[k] & 0x3f);
                }
                if (c < forms[i].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                        return 0;
                *ret = c;
                return i + 1;
        }
        return 0;
}

bool utf8_is_text(const void *data, size_t n)
{
        const uint8_t *p = data;
        uint32_t c;

        for (size_t length; n > 0; p += length, n -= length) {
                length = utf8_decode(p, n, &c);
                if (length == 0 || c == 0)
                        return false;
        }
        return true;
}
