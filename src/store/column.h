/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Our types in SQLite's parameters and columns. Only for this floor. A parameter that cannot be bound ends
 * the process. */

#include <sqlite3.h>
#include <systemd/sd-id128.h>

#include "base/macro.h"

void bind_id(sqlite3_stmt *s, int parameter, sd_id128_t id);
void bind_id_or_null(sqlite3_stmt *s, int parameter, sd_id128_t id); /* the null id becomes NULL */
void bind_u64(sqlite3_stmt *s, int parameter, uint64_t v);           /* as SQLite's signed integer */
/* Lent until the statement is done. Zero bytes are bound as an empty blob, not as NULL. */
void bind_bytes(sqlite3_stmt *s, int parameter, const void *data, size_t n);
void bind_text(sqlite3_stmt *s, int parameter, const char *text); /* NULL: "" */

int column_id(sqlite3_stmt *s, int column, sd_id128_t *ret); /* 0, or -EUCLEAN; NULL is the null id */
uint64_t column_u64(sqlite3_stmt *s, int column);
int column_text(sqlite3_stmt *s, int column, char **ret);                    /* malloc'ed; 0 or -ENOMEM */
int column_bytes(sqlite3_stmt *s, int column, void **ret, size_t *ret_size); /* malloc'ed; 0 or -ENOMEM */
