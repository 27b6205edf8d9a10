/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str-util.h"
#include "base/utf8.h"
#include "runtime/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A table with a field of each type. */
typedef struct Object {
        bool flag, second;
        unsigned number;
        uint64_t bytes, usec;
        double probability;
        char *text, **texts, **words;
} Object;

static int check_text(const char *value, Error *error)
{
        return strchr(value, '!') ? error_set(error, -1, "\"%s\" shouts", value) : 0;
}

#define ITEM(key, type, field, low, high)                                                                   \
        {                                                                                                   \
                "A", key, type, offsetof(Object, field), low, high                                          \
        }

static const ConfItem items[] = {
                ITEM("Bool", CONF_BOOL, flag, 0, 0),
                ITEM("Unsigned", CONF_UNSIGNED, number, 1, 1000),
                ITEM("Size", CONF_SIZE, bytes, 0, 1 << 30),
                ITEM("Duration", CONF_DURATION, usec, 0, 0),
                ITEM("Probability", CONF_PROBABILITY, probability, 0, 0),
                {"A", "Text", CONF_STRING, offsetof(Object, text), .check = check_text},
                {"A", "Texts", CONF_STRINGS, offsetof(Object, texts), .check = check_text},
                ITEM("Words", CONF_WORDS, words, 0, 0),
                {"A", "Choice", CONF_CHOICE, offsetof(Object, second), 0, 0, {"one", "two"}},
                {},
};
static const char *const foreign[] = {"B", NULL};
static const ConfTable table = {items, foreign, NULL};

/* What was taken is in its range, and is UTF-8; what was refused has a reason with the file in it. */
static void check(const Object *o, int r, const char *path, const Error *error)
{
        const size_t n = strlen(error->text);
        const bool cut = n == ERROR_MAX - 1; /* perhaps within a character */

        if (r < 0 && (!strstr(error->text, path) || (!cut && !utf8_is_text(error->text, n))))
                abort();
        if (o->number > 1000 || o->bytes > 1 << 30 || !(o->probability >= 0 && o->probability <= 1))
                abort();
        for (const ConfItem *item = items; item->key; item++) {
                _cleanup_free_ char *text = conf_format(item, o);
                if (!text || !utf8_is_text(text, strlen(text)))
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Object o = {.number = 1};
        Error error = {};
        char path[64];
        int fd = memfd_create("conf", MFD_CLOEXEC), r;

        if (fd < 0 || write(fd, data, size) != (ssize_t) size)
                abort();
        (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        r = conf_read(&table, path, false, &o, &error);
        check(&o, r, path, &error);
        conf_clear(&table, &o);
        (void) close(fd);
        return 0;
}
