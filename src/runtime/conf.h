/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configuration files (runtime/conf-file, with drop-ins) and command-line options, read into a struct
 * through one table of its fields. */

#include "base/error.h"

typedef enum ConfType {
        CONF_BOOL,        /* bool */
        CONF_UNSIGNED,    /* unsigned, min..max */
        CONF_SIZE,        /* uint64_t bytes, min..max */
        CONF_DURATION,    /* uint64_t µs, min..max */
        CONF_PROBABILITY, /* double */
        CONF_STRING,      /* char *, replaced */
        CONF_STRINGS,     /* char **, appended; an empty value clears it */
        CONF_WORDS,       /* char **, a command line split into words, replaced */
        CONF_CHOICE,      /* bool: whether it is the second of two words, `choice` */
} ConfType;

typedef struct ConfItem {
        const char *section;
        const char *key;
        ConfType type;
        size_t offset;     /* of the field in the object */
        uint64_t min, max; /* max 0: no limit */
        const char *choice[2];
        /* For CONF_STRING and CONF_STRINGS: refuses what is not right, with the reason. NULL: all text is.
         */
        int (*check)(const char *value, Error *error);
} ConfItem;

/* A table ends with an item without a key. Sections in `foreign` (NULL-terminated) belong to other programs
 * and are skipped. Any other unknown section or key is an error that names file, line and key. The keys in
 * `live` (NULL-terminated) can change while the program runs.
 */
typedef struct ConfTable {
        const ConfItem *items;
        const char *const *foreign;
        const char *const *live;
} ConfTable;

/* Reads `path`, then PATH.d/<any>.conf in the order of their names. A missing `path` is -ENOENT, unless it
 * is `optional`. Negative errno with the reason. */
int conf_read(const ConfTable *table, const char *path, bool optional, void *object, Error *error);

/* Sets one key from the command line. `option` is its name in error messages. */
int conf_set(const ConfTable *table, const char *section, const char *key, const char *value,
                const char *option, void *object, Error *error);

/* The value of a field as text (malloc'ed): equal for equal values. Several strings are joined by blanks. ""
 * for a string that is not set. NULL: out of memory. */
char *conf_format(const ConfItem *item, const void *object);

/* Frees what the keys of the table have allocated in `object`, and sets those fields to NULL. */
void conf_clear(const ConfTable *table, void *object);
