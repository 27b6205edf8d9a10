/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int random_pool_take(RandomPool *p, void *ret, size_t n)
{
        assert(n <= sizeof p->bytes);
        if (p->left < n) {
                for (size_t at = 0; at < sizeof p->bytes;) {
                        ssize_t k = getrandom(p->bytes + at, sizeof p->bytes - at, 0);
                        if (k < 0 && errno != EINTR)
                                return -errno;
                        at += k > 0 ? (size_t) k : 0;
                }
                p->left = sizeof p->bytes;
        }
        p->left -= n;
        memcpy(ret, p->bytes + p->left, n);
        return 0;
}
