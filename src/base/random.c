/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int random_bytes(void *ret, size_t n)
{
        for (size_t at = 0; at < n;) {
                ssize_t k = getrandom((uint8_t *) ret + at, n - at, 0);
                if (k < 0 && errno != EINTR)
                        return -errno;
                at += k > 0 ? (size_t) k : 0;
        }
        return 0;
}

int random_pool_take(RandomPool *p, void *ret, size_t n)
{
        assert(n <= sizeof p->bytes);
        if (p->left < n) {
                int r = random_bytes(p->bytes, sizeof p->bytes);
                if (r < 0)
                        return r;
                p->left = sizeof p->bytes;
        }
        p->left -= n;
        memcpy(ret, p->bytes + p->left, n);
        memset(p->bytes + p->left, 0, n); /* it may be a secret */
        return 0;
}

int random_uuid(RandomPool *p, uint8_t ret[static 16])
{
        int r = p ? random_pool_take(p, ret, 16) : random_bytes(ret, 16);

        if (r < 0)
                return r;
        ret[6] = (ret[6] & 0x0F) | 0x40;
        ret[8] = (ret[8] & 0x3F) | 0x80;
        return 0;
}
