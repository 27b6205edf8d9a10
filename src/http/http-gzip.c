/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LEVEL         1
#define WINDOW        (15 + 16) /* 32 KiB, and the frame of gzip */
#define MEMORY        8
#define SEPARATORS    " \t,"
#define QUALITY       "q="
#define GZIP_SIZE_MAX ((size_t) 1 << 30)

int gzip_append(Buffer *out, const void *data, size_t size)
{
        z_stream z = {};
        int r = -ENOMEM;

        if (size > GZIP_SIZE_MAX)
                return -EFBIG;
        if (deflateInit2(&z, LEVEL, Z_DEFLATED, WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
                return -ENOMEM;
        size_t most = deflateBound(&z, size);
        uint8_t *room = buffer_reserve(out, most);
        if (room) {
                z.next_in = (Bytef *) (uintptr_t) data;
                z.avail_in = (uInt) size;
                z.next_out = room;
                z.avail_out = (uInt) most;
                if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
                        buffer_added(out, most - z.avail_out);
                        r = 0;
                }
        }
        (void) deflateEnd(&z);
        return r;
}

/* `word` is one element of the header, such as "gzip;q=0.5". A quality of zero means no. */
static bool is_wanted(const char *word, size_t n)
{
        size_t name = strcspn(word, "; \t,");

        if (!(name == 4 && strncasecmp(word, "gzip", 4) == 0) && !(name == 1 && word[0] == '*'))
                return false;
        const char *q = memmem(word, n, QUALITY, strlen(QUALITY));
        return !q || strtod(q + strlen(QUALITY), NULL) > 0;
}

bool gzip_is_accepted(const char *header)
{
        while (header && *header) {
                header += strspn(header, SEPARATORS);
                size_t n = strcspn(header, ",");
                if (n > 0 && is_wanted(header, n))
                        return true;
                header += n;
        }
        return false;
}
