/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/str-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs a fuzz target over every file of a directory, and over each file with one byte changed or cut off, so
 * that the corpus is an ordinary test with any compiler. */
static int replay(const char *path)
{
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r = read_file(path, 1 << 20, &data, &size);

        if (r < 0)
                return r;
        (void) LLVMFuzzerTestOneInput((uint8_t *) data, size);
        for (size_t i = 0; i < MIN(size, (size_t) 256); i++) {
                /* A copy of the exact size: reading behind the end is then seen by the sanitizer. */
                _cleanup_free_ uint8_t *part = malloc(i + 1);
                if (!part)
                        return -ENOMEM;
                memcpy(part, data, i + 1);
                (void) LLVMFuzzerTestOneInput(part, i + 1);

                data[i] = (char) (data[i] ^ 0xFF);
                (void) LLVMFuzzerTestOneInput((uint8_t *) data, size);
                data[i] = (char) (data[i] ^ 0xFF ^ 0x01);
                (void) LLVMFuzzerTestOneInput((uint8_t *) data, size);
                data[i] = (char) (data[i] ^ 0x01);
        }
        return 0;
}

int main(int argc, char **argv)
{
        struct dirent *entry;
        unsigned n = 0;

        DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
        if (!directory) {
                fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
                return 2;
        }
        while ((entry = readdir(directory))) {
                if (entry->d_name[0] == '.')
                        continue;
                _cleanup_free_ char *path = str_format("%s/%s", argv[1], entry->d_name);
                if (!path || replay(path) < 0)
                        return 1;
                n++;
        }
        (void) closedir(directory);
        printf("%u files\n", n);
        return n > 0 ? 0 : 1;
}
