/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/random.h"

#include <errno.h>
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
