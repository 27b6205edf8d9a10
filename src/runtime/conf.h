/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configuration: ini files (libinih) with drop-ins, and long command-line options, through one table of
 * items. */

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
} ConfType;

typedef struct ConfItem {
        const char *section;
        const char *key;
        ConfType type;
        size_t offset;     /* of the field in the object */
        uint64_t min, max; /* max 0: no limit */
} ConfItem;

/* A table ends with an item without a key. Sections that are in `foreign` (NULL-terminated) belong to other
 * programs and are passed over; any other unknown section or key is an error that names file, line and key.
 */
typedef struct ConfTable {
        const ConfItem *items;
        const char *const *foreign;
} ConfTable;

/* Reads `path` if it exists (-ENOENT otherwise, or 0 when `optional`), then PATH.d/<any>.conf in order of
 * names. */
int conf_read(const ConfTable *table, const char *path, bool optional, void *object, Error *error);

/* Sets one key from a word of the command line; `option` names it in errors. */
int conf_set(const ConfTable *table, const char *section, const char *key, const char *value,
                const char *option, void *object, Error *error);

/* Frees what the keys of the table have allocated in `object`, and sets those fields to NULL. */
void conf_clear(const ConfTable *table, void *object);
