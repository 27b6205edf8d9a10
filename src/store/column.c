/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/column.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A parameter that is not bound is NULL. It would be written in place of the value, without an error. So a
 * process without memory for it ends; the next start finds everything as it was. */
static void must(int rc)
{
        if (rc != SQLITE_OK)
                abort();
}

void bind_id(sqlite3_stmt *s, int parameter, sd_id128_t id)
{
        must(sqlite3_bind_blob(s, parameter, id.bytes, sizeof id.bytes, SQLITE_TRANSIENT));
}

void bind_id_or_null(sqlite3_stmt *s, int parameter, sd_id128_t id)
{
        if (sd_id128_is_null(id))
                must(sqlite3_bind_null(s, parameter));
        else
                bind_id(s, parameter, id);
}

void bind_u64(sqlite3_stmt *s, int parameter, uint64_t v)
{
        must(sqlite3_bind_int64(s, parameter, (sqlite3_int64) v));
}

void bind_bytes(sqlite3_stmt *s, int parameter, const void *data, size_t n)
{
        must(sqlite3_bind_blob64(s, parameter, n > 0 ? data : "", n, SQLITE_STATIC));
}

void bind_text(sqlite3_stmt *s, int parameter, const char *text)
{
        must(sqlite3_bind_text(s, parameter, text ? text : "", -1, SQLITE_STATIC));
}

int column_id(sqlite3_stmt *s, int column, sd_id128_t *ret)
{
        if (sqlite3_column_type(s, column) == SQLITE_NULL) {
                *ret = SD_ID128_NULL;
                return 0;
        }
        if (sqlite3_column_bytes(s, column) != sizeof ret->bytes)
                return -EUCLEAN;
        memcpy(ret->bytes, sqlite3_column_blob(s, column), sizeof ret->bytes);
        return 0;
}

uint64_t column_u64(sqlite3_stmt *s, int column)
{
        return (uint64_t) sqlite3_column_int64(s, column);
}

int column_text(sqlite3_stmt *s, int column, char **ret)
{
        const char *text = (const char *) sqlite3_column_text(s, column);

        *ret = strdup(text ? text : "");
        return *ret ? 0 : -ENOMEM;
}

int column_bytes(sqlite3_stmt *s, int column, void **ret, size_t *ret_size)
{
        size_t n = (size_t) sqlite3_column_bytes(s, column);
        char *copy = malloc(n + 1);

        if (!copy)
                return -ENOMEM;
        if (n > 0)
                memcpy(copy, sqlite3_column_blob(s, column), n);
        copy[n] = '\0';
        *ret = copy;
        *ret_size = n;
        return 0;
}
