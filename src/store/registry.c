/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/registry.h"

#include <errno.h>

#include "base/log.h"
#include "base/str-util.h"
#include "store/column.h"

#define LOCK_USEC (5 * 1000000u)

typedef struct RegistryOp {
        DbOp op;
        sd_id128_t id, token;
        char *record; /* NULL: remove */
} RegistryOp;

int registry_open(const char *path, Db **ret, Error *error)
{
        static const char *const migrations[] = {
                        "CREATE TABLE lease (id BLOB PRIMARY KEY, token BLOB NOT NULL, record TEXT NOT "
                        "NULL) WITHOUT ROWID;",
                        NULL,
        };

        return db_open(path, migrations, LOCK_USEC, ret, error);
}

int registry_load(Db *db, int (*fn)(sd_id128_t id, sd_id128_t token, const char *record, void *userdata),
                void *userdata)
{
        sqlite3_stmt *s = db_statement(db_sql(db), "SELECT id, token, record FROM lease");
        int rc, r = 0;

        if (!s)
                return -EIO;
        while (r >= 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
                sd_id128_t id, token;

                if (column_id(s, 0, &id) < 0 || column_id(s, 1, &token) < 0)
                        continue;
                r = fn(id, token, (const char *) sqlite3_column_text(s, 2), userdata);
        }
        if (r >= 0)
                r = db_error(db_sql(db), rc);
        (void) sqlite3_reset(s);
        return r;
}

static int run(DbOp *op, sqlite3 *sql)
{
        RegistryOp *o = CONTAINER_OF(op, RegistryOp, op);
        sqlite3_stmt *s = db_statement(
                        sql, o->record ? "REPLACE INTO lease (id, token, record) VALUES (?1, ?2, ?3)"
                                       : "DELETE FROM lease WHERE id = ?1");

        if (!s)
                return -EIO;
        bind_id(s, 1, o->id);
        if (o->record) {
                bind_id(s, 2, o->token);
                bind_text(s, 3, o->record);
        }
        return db_step_done(s);
}

static void done(DbOp *op, int result)
{
        RegistryOp *o = CONTAINER_OF(op, RegistryOp, op);

        if (result < 0)
                log_debug_errno(result, "Cannot write the registry");
        free(o->record);
        free(o);
}

static int submit(Db *db, sd_id128_t id, sd_id128_t token, const char *record)
{
        RegistryOp *o = calloc(1, sizeof *o);

        if (!o)
                return -ENOMEM;
        *o = (RegistryOp){
                        .op = {.run = run, .done = done},
                          .id = id, .token = token
        };
        if (str_replace(&o->record, record) < 0) {
                free(o);
                return -ENOMEM;
        }
        db_submit(db, &o->op);
        return 0;
}

int registry_put(Db *db, sd_id128_t id, sd_id128_t token, const char *record)
{
        return submit(db, id, token, record);
}

int registry_remove(Db *db, sd_id128_t id)
{
        return submit(db, id, SD_ID128_NULL, NULL);
}
