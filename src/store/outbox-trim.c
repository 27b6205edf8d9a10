/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Removes messages that have ended. Their rows are in three tables, so their numbers are first collected in
 * the table temp.doomed. */

#include <errno.h>

#include "store/column.h"
#include "store/outbox-states.h"
#include "store/outbox-tables.h"
#include "store/sql.h"

/* So many of a state are removed at once: everybody waits for it. A flush of the redo log must not bring
 * more. */
#define REMOVED_MAX 20000

static int make_doomed(sqlite3 *sql)
{
        return sql_run_text(sql, "CREATE TEMP TABLE IF NOT EXISTS doomed (number INTEGER PRIMARY KEY)");
}

/* The messages of one state that are older than the `keep` newest, as far as REMOVED_MAX permits. Returns
 * how many there are. */
static int find_surplus(sqlite3 *sql, DeliveryState state, unsigned keep, uint64_t keys_since_usec)
{
        sqlite3_stmt *s = sql_statement(sql,
                        "INSERT INTO temp.doomed SELECT d.message FROM delivery d JOIN message m ON "
                        "m.number = d.message"
                        " WHERE d.state = ?1 AND d.member = 0 AND (m.key IS NULL OR d.settled < ?3"
                        "  OR d.message <= (SELECT max(number) FROM message) - ?4)"
                        " AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.message = d.message"
                        " AND e.state NOT IN (" SQL_FINAL ")) ORDER BY d.message DESC LIMIT ?5 OFFSET ?2");
        int r;

        if (!s)
                return -EIO;
        (void) sqlite3_bind_int(s, 1, (int) state);
        bind_u64(s, 2, keep);
        bind_u64(s, 3, keys_since_usec);
        bind_u64(s, 4, KEYS_KEPT_MAX);
        bind_u64(s, 5, REMOVED_MAX);
        r = sql_run(s);
        return r < 0 ? r : sqlite3_changes(sql);
}

/* Removes the messages of temp.doomed from every table. */
static int remove_doomed(sqlite3 *sql)
{
        static const char *const texts[] = {
                        "DELETE FROM attempt WHERE message IN (SELECT number FROM temp.doomed)",
                        "DELETE FROM delivery WHERE message IN (SELECT number FROM temp.doomed)",
                        "DELETE FROM message WHERE number IN (SELECT number FROM temp.doomed)",
                        "DELETE FROM temp.doomed",
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                r = sql_run_text(sql, texts[i]);
        return r;
}

/* The search for the surplus walks over all messages that are kept. With idempotency keys that may be all
 * messages of an hour. So it is done only when an eighth more has come since the last time. Positive: do it
 * now. */
static int is_worth_trimming(sqlite3 *sql)
{
        int rc, r = sql_run_text(sql,
                                "CREATE TEMP TABLE IF NOT EXISTS trimmed (number INTEGER, kept INTEGER)");
        sqlite3_stmt *s;

        if (r < 0)
                return r;
        s = sql_statement(sql,
                        "SELECT (SELECT max(number) FROM message) - number < kept / 8 FROM temp.trimmed");
        if (!s)
                return -EIO;
        rc = sqlite3_step(s);
        r = rc == SQLITE_ROW ? !sqlite3_column_int(s, 0) : rc == SQLITE_DONE ? 1 : sql_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

static int note_trimmed(sqlite3 *sql)
{
        int r = sql_run_text(sql, "DELETE FROM temp.trimmed");

        return r < 0 ? r
                     : sql_run_text(sql, "INSERT INTO temp.trimmed SELECT ifnull(max(number), 0), (SELECT "
                                         "count(*) "
                                         "FROM delivery WHERE state IN (" SQL_ACKED ", " SQL_CANCELLED
                                         ")) FROM message");
}

int outbox_tables_trim(sqlite3 *sql, unsigned keep, uint64_t keys_since_usec, bool thorough)
{
        int r = is_worth_trimming(sql), n_acked = 0, n_cancelled = 0;
        bool more;

        if (r == 0 && thorough)
                r = 1;
        if (r <= 0)
                return r;
        r = make_doomed(sql);
        if (r >= 0)
                r = n_acked = find_surplus(sql, DELIVERY_ACKED, keep, keys_since_usec);
        if (r >= 0)
                r = n_cancelled = find_surplus(sql, DELIVERY_CANCELLED, keep, keys_since_usec);
        if (r >= 0)
                r = remove_doomed(sql);
        if (r < 0)
                return r;
        more = n_acked == REMOVED_MAX || n_cancelled == REMOVED_MAX;
        r = more ? sql_run_text(sql, "DELETE FROM temp.trimmed") : note_trimmed(sql);
        return r < 0 ? r : more;
}

int outbox_tables_purge(sqlite3 *sql, uint64_t number)
{
        int r = make_doomed(sql);

        if (r < 0)
                return r;
        sqlite3_stmt *s = sql_statement(sql,
                        "INSERT INTO temp.doomed SELECT number FROM message WHERE number = ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM delivery WHERE message = ?1 AND state NOT IN (" SQL_FINAL "))");
        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        r = sql_run(s);
        if (r >= 0 && sqlite3_changes(sql) == 0)
                return -EBUSY;
        return r < 0 ? r : remove_doomed(sql);
}
