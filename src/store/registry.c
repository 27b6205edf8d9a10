/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "store/column.h"
#include "store/disk.h"
#include "store/sql.h"

#define LOCK_USEC (5 * 1000000u)

/* The header of an entry in the batch; the record follows it. */
typedef struct Put {
        uint64_t row;
        sd_id128_t id, token;
        size_t size;
} Put;

int registry_open(const char *path, Db **ret, Error *error)
{
        static const char *const migrations[] = {
                        "CREATE TABLE lease (id BLOB PRIMARY KEY, token BLOB NOT NULL, record TEXT NOT "
                        "NULL) WITHOUT ROWID;",
                        "CREATE TABLE receiver (number INTEGER PRIMARY KEY, id BLOB NOT NULL, token BLOB "
                        "NOT NULL, record TEXT NOT NULL);"
                        "INSERT INTO receiver (id, token, record) SELECT id, token, record FROM lease;"
                        "DROP TABLE lease;",

                        /* From here on pages have checksums, which older programs do not keep. */
                        "SELECT 0",
                        NULL,
        };

        return db_open(path, migrations, LOCK_USEC, NULL, ret, error);
}

int registry_set_aside(const char *path, Damage *ret)
{
        /* The log first: it must not be there when a fresh database is. */
        static const char *const suffixes[] = {"-wal", ".sums", ""};
        int r = damage_keep(ret, path);

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                _cleanup_free_ char *name = str_format("%s%s", path, suffixes[i]);

                if (!name)
                        return -ENOMEM;
                disk_remove(name);
        }
        return r < 0 ? r : disk_sync_directory(path);
}

int registry_load(Db *db,
                int (*fn)(uint64_t row, sd_id128_t id, sd_id128_t token, const char *record, void *userdata),
                void *userdata)
{
        sqlite3_stmt *s = sql_statement(
                        db_sql(db), "SELECT number, id, token, record FROM receiver ORDER BY number");
        int rc, r = 0;

        if (!s)
                return -EIO;
        while (r >= 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
                sd_id128_t id, token;

                if (column_id(s, 1, &id) < 0 || column_id(s, 2, &token) < 0)
                        continue;
                r = fn(column_u64(s, 0), id, token, (const char *) sqlite3_column_text(s, 3), userdata);
        }
        if (r >= 0)
                r = sql_error(db_sql(db), rc);
        (void) sqlite3_reset(s);
        return r;
}

static int run_removals(const Buffer *removals, sqlite3 *sql)
{
        sqlite3_stmt *s = sql_statement(sql, "DELETE FROM receiver WHERE number = ?1");
        const uint8_t *at = buffer_peek(removals), *end = at + buffer_size(removals);
        uint64_t row;
        int r = s ? 0 : -EIO;

        for (; r >= 0 && at < end; at += sizeof row) {
                memcpy(&row, at, sizeof row);
                bind_u64(s, 1, row);
                r = sql_run(s);
        }
        return r;
}

static int run_puts(const Buffer *puts, sqlite3 *sql)
{
        sqlite3_stmt *s = sql_statement(
                        sql, "REPLACE INTO receiver (number, id, token, record) VALUES (?1, ?2, ?3, ?4)");
        const uint8_t *at = buffer_peek(puts), *end = at + buffer_size(puts);
        int r = s ? 0 : -EIO;
        Put put;

        for (; r >= 0 && at < end; at += sizeof put + put.size) {
                memcpy(&put, at, sizeof put);
                bind_u64(s, 1, put.row);
                bind_id(s, 2, put.id);
                bind_id(s, 3, put.token);
                (void) sqlite3_bind_text(
                                s, 4, (const char *) at + sizeof put, (int) put.size, SQLITE_STATIC);
                r = sql_run(s);
        }
        return r;
}

static int run(DbOp *op, sqlite3 *sql)
{
        RegistryBatch *b = CONTAINER_OF(op, RegistryBatch, op);
        int r = 0;

        if (buffer_size(&b->removals) > 0)
                r = run_removals(&b->removals, sql);
        if (r >= 0 && buffer_size(&b->puts) > 0)
                r = run_puts(&b->puts, sql);
        return r;
}

void registry_batch_init(RegistryBatch *b)
{
        *b = (RegistryBatch){.op = {.run = run}};
}

void registry_batch_clear(RegistryBatch *b)
{
        buffer_clear(&b->puts);
        buffer_clear(&b->removals);
}

int registry_put(RegistryBatch *b, uint64_t row, sd_id128_t id, sd_id128_t token, const char *record,
                size_t size)
{
        Put put = {.row = row, .id = id, .token = token, .size = size};
        uint8_t *room = buffer_reserve(&b->puts, sizeof put + size);

        if (!room)
                return -ENOMEM;
        memcpy(room, &put, sizeof put);
        memcpy(room + sizeof put, record, size);
        buffer_added(&b->puts, sizeof put + size);
        b->n++;
        return 0;
}

int registry_remove(RegistryBatch *b, uint64_t row)
{
        b->n++;
        return buffer_append(&b->removals, &row, sizeof row);
}
