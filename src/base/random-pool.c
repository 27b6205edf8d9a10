/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/random-pool.h"

#include <string.h>

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

uint64_t random_u64(void)
{
        uint64_t n = 0;

        return random_bytes(&n, sizeof n) < 0 ? 0 : n;
}
