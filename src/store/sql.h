/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helpers around SQLite: opening, migrating, statements, errors. They know no table. */

#include <sqlite3.h>

#include "base/error.h"
#include "store/damage.h"

/* Opens the database at `path`; creates it with mode 0600 where it is missing. `migrations` are SQL scripts,
 * NULL-terminated: script i brings user_version i to i + 1. -EPROTO: a newer program wrote the database.
 * -EUCLEAN: it is damaged. If only the newest commits are lost, it is opened, `damage` says so, and
 * `on_loss`, a statement, has been run; it may be NULL. */
int sql_open(const char *path, const char *const *migrations, const char *on_loss, sqlite3 **ret,
                Damage *damage, Error *error);
void sql_close(sqlite3 *sql); /* finalizes its statements too; NULL is fine */

/* The statement of that text, prepared once per database and kept; reset and without bindings. It belongs to
 * the database. NULL on failure; sqlite3_errmsg() has the cause. */
sqlite3_stmt *sql_statement(sqlite3 *sql, const char *text);
int sql_run(sqlite3_stmt *s); /* steps to the end; NULL gives -EIO; 0 or negative errno */
int sql_run_text(sqlite3 *sql, const char *text); /* a statement without parameters */

/* Gives the space of removed rows back to the file system, if the file is mostly empty and the rest is
 * small. Outside of a transaction. 0 or negative errno; failure changes nothing. */
int sql_shrink(sqlite3 *sql);

/* A commit that failed may be whole in SQLite's log all the same, and the next start would find it. This
 * writes something harmless in its place. 0 or negative errno: it may still be there. */
int sql_overwrite(sqlite3 *sql);

int sql_error(sqlite3 *sql, int rc); /* SQLite's code as a negative errno: -ENOSPC, -EIO, -ENOMEM … */
