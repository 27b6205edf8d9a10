/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/random-pool.h"
#include "store/column.h"
#include "store/outbox-memtable.h"
#include "store/outbox-states.h"
#include "store/outbox-tables.h"
#include "store/outbox.h"
#include "store/sql.h"

/* A message to several: how many of its members acked, how many failed, how many there are. */
#define MEMBERS(what)                                                                                       \
        "(SELECT count(*) FROM delivery e WHERE e.message = d.message AND e.member > 0" what ")"
#define MEMBERS_ACKED  MEMBERS(" AND e.state = " SQL_ACKED)
#define MEMBERS_FAILED MEMBERS(" AND e.state IN (" SQL_REJECTED ", " SQL_CANCELLED ", " SQL_DEAD ")")
#define OUTBOX_WHOLE_COLUMNS                                                                                \
        OUTBOX_FIELDS ", " MEMBERS_ACKED ", " MEMBERS_FAILED ", " MEMBERS("") OUTBOX_TABLES

#define LOCK_USEC (5 * USEC_PER_SEC)

static const char *const migrations[] = {
                "CREATE TABLE client (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL);"
                "CREATE TABLE message ("
                "  number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, target TEXT NOT NULL,"
                "  size INTEGER NOT NULL, accepted INTEGER NOT NULL, payload BLOB"
                ");"
                "CREATE TABLE delivery ("
                "  message INTEGER NOT NULL, member INTEGER NOT NULL, queue TEXT NOT NULL,"
                "  state INTEGER NOT NULL, receiver BLOB, receiver_name TEXT NOT NULL,"
                "  stream BLOB, sequence INTEGER NOT NULL, attempts INTEGER NOT NULL,"
                "  duplicate INTEGER NOT NULL, error TEXT NOT NULL, settled INTEGER NOT NULL, reply BLOB "
                "NOT NULL,"
                "  PRIMARY KEY (message, member)"
                ") WITHOUT ROWID;"
                "CREATE INDEX delivery_state ON delivery (state, message);"
                "CREATE INDEX delivery_queue ON delivery (queue, message) WHERE state = 0;"
                "CREATE TABLE stream ("
                "  stream BLOB NOT NULL, receiver BLOB NOT NULL, PRIMARY KEY (stream, receiver)"
                ") WITHOUT ROWID;"
                "CREATE TABLE receiver (id BLOB PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID",

                /* -1: POLICY_OPEN */
                "ALTER TABLE message ADD COLUMN ack_timeout INTEGER NOT NULL DEFAULT -1;"
                "ALTER TABLE message ADD COLUMN backoff INTEGER NOT NULL DEFAULT -1;"
                "ALTER TABLE message ADD COLUMN backoff_max INTEGER NOT NULL DEFAULT -1;"
                "ALTER TABLE message ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT -1;"
                "ALTER TABLE message ADD COLUMN start INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE message ADD COLUMN deadline INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE message ADD COLUMN key TEXT;"
                "CREATE UNIQUE INDEX message_key ON message (key) WHERE key IS NOT NULL;"
                "ALTER TABLE delivery ADD COLUMN priority INTEGER NOT NULL DEFAULT 4;"
                "ALTER TABLE delivery ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE delivery ADD COLUMN wake INTEGER;"
                "DROP INDEX delivery_queue;"
                "CREATE INDEX delivery_queue ON delivery (queue, priority DESC, message) WHERE state = 0;"
                "CREATE INDEX delivery_wake ON delivery (wake, message) WHERE wake IS NOT NULL;"
                "CREATE TABLE attempt ("
                "  message INTEGER NOT NULL, member INTEGER NOT NULL, n INTEGER NOT NULL,"
                "  attempt INTEGER NOT NULL, sent INTEGER NOT NULL, ended INTEGER NOT NULL,"
                "  receiver_name TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL,"
                "  PRIMARY KEY (message, member, n)"
                ") WITHOUT ROWID",

                "CREATE TABLE redo (applied INTEGER NOT NULL); INSERT INTO redo VALUES (0)",

                "ALTER TABLE receiver ADD COLUMN departed INTEGER NOT NULL DEFAULT 0",

                /* From here on pages have checksums, which older programs do not keep. */
                "ALTER TABLE client ADD COLUMN machine BLOB;"
                "ALTER TABLE client ADD COLUMN boot BLOB;"
                "ALTER TABLE client ADD COLUMN device INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE client ADD COLUMN inode INTEGER NOT NULL DEFAULT 0",
                NULL,
};

int outbox_open(const char *path, Db **ret, Error *error)
{
        Memtable memtable;
        int r = outbox_memtable_new(&memtable);

        return r < 0 ? r : db_open(path, migrations, LOCK_USEC, &memtable, ret, error);
}

/* Calls `row` for each row of a SELECT. */
static int walk(Db *db, const char *text, int (*row)(sqlite3_stmt *s, const OutboxLoad *load),
                const OutboxLoad *load)
{
        sqlite3_stmt *s = sql_statement(db_sql(db), text);
        int rc, r = 0;

        if (!s)
                return -EIO;
        while (r >= 0 && (rc = sqlite3_step(s)) != SQLITE_DONE)
                r = rc == SQLITE_ROW ? row(s, load) : sql_error(db_sql(db), rc);
        (void) sqlite3_reset(s);
        return r < 0 ? r : 0;
}

static int load_client(sqlite3_stmt *s, const OutboxLoad *load)
{
        sd_id128_t id;
        int r = column_id(s, 0, &id);

        if (r >= 0)
                load->client(id, column_u64(s, 1), column_u64(s, 2), column_u64(s, 3), load->userdata);
        return r;
}

static int load_bound(sqlite3_stmt *s, const OutboxLoad *load)
{
        OutboxRecord record;
        int r = outbox_tables_read(s, &record);

        if (r < 0)
                return r;
        r = load->bound(&record, load->userdata);
        outbox_record_clear(&record);
        return r;
}

static int load_queued(sqlite3_stmt *s, const OutboxLoad *load)
{
        return load->queued((const char *) sqlite3_column_text(s, 0), column_u64(s, 1), load->userdata);
}

static int load_fanout(sqlite3_stmt *s, const OutboxLoad *load)
{
        OutboxRecord record;
        int r = outbox_tables_read(s, &record);

        if (r < 0)
                return r;
        r = load->fanout(&record, (unsigned) column_u64(s, OUTBOX_N_FIELDS),
                        (unsigned) column_u64(s, OUTBOX_N_FIELDS + 1),
                        (unsigned) column_u64(s, OUTBOX_N_FIELDS + 2), load->userdata);
        outbox_record_clear(&record);
        return r;
}

static int load_stream(sqlite3_stmt *s, const OutboxLoad *load)
{
        sd_id128_t stream, receiver;

        if (column_id(s, 0, &stream) < 0 || column_id(s, 1, &receiver) < 0)
                return -EUCLEAN;
        return load->stream(stream, receiver, load->userdata);
}

static int load_receiver(sqlite3_stmt *s, const OutboxLoad *load)
{
        sd_id128_t id;

        if (column_id(s, 0, &id) < 0)
                return -EUCLEAN;
        return load->receiver(id, (const char *) sqlite3_column_text(s, 1), sqlite3_column_int(s, 2),
                        load->userdata);
}

static int ensure_client(Db *db)
{
        sqlite3_stmt *s = sql_statement(db_sql(db), "INSERT OR IGNORE INTO client (one, id) VALUES (1, ?)");
        sd_id128_t id;
        int r = random_uuid(NULL, id.bytes);

        if (r < 0)
                return r;
        if (!s)
                return -EIO;
        bind_id(s, 1, id);
        return sql_run(s);
}

/* A crash may have come between the end of a message to several receivers and the ends of its members. Those
 * that nobody can have begun end now, as they would have. */
static int end_members(Db *db)
{
#define WHOLE(column)                                                                                       \
        "(SELECT w." column " FROM delivery w WHERE w.message = delivery.message AND w.member = 0)"
        return sql_run_text(db_sql(db),
                        "UPDATE delivery SET error = 'not needed any more', wake = NULL, settled = " WHOLE(
                                        "settled") ","
                                                   " state = CASE " WHOLE(
                                                                   "state") " WHEN " SQL_DEAD
                                                                            " THEN " SQL_DEAD
                                                                            " ELSE " SQL_CANCELLED " END"
                                                                            " WHERE state IN (" SQL_QUEUED
                                                                            ", " SQL_DELAYED
                                                                            ") AND member > 0 AND duplicate "
                                                                            "= 0"
                                                                            " AND " WHOLE("state") " IN "
                                                                                                   "(" SQL_FINAL
                                                                                                   ")");
#undef WHOLE
}

int outbox_load(Db *db, const OutboxLoad *load)
{
        static const struct {
                const char *text;
                int (*row)(sqlite3_stmt *s, const OutboxLoad *load);
        } walks[] = {
                        {"SELECT id, (SELECT ifnull(max(number), 0) FROM message),"
                         " (SELECT count(*) FROM delivery WHERE member = 0 AND state NOT IN (" SQL_FINAL
                         ")),"
                         " (SELECT count(*) FROM delivery WHERE member = 0 AND state IN (" SQL_DEAD_LETTER
                         ")) FROM client",
                                        load_client},
                        {"SELECT " OUTBOX_COLUMNS " WHERE d.state IN (" SQL_BOUND ", " SQL_ENDING
                         ") AND d.receiver IS NOT NULL"
                         " ORDER BY m.number",
                                        load_bound},
                        {"SELECT queue, count(*) FROM delivery WHERE state = " SQL_QUEUED " GROUP BY queue",
                                        load_queued},
                        {"SELECT " OUTBOX_WHOLE_COLUMNS " WHERE d.state IN (" SQL_GATHERING ", " SQL_ENDING
                         ") AND d.receiver IS NULL",
                                        load_fanout},
                        {"SELECT stream, receiver FROM stream", load_stream},
                        {"SELECT id, record, departed FROM receiver", load_receiver},
        };
        int r;

        r = ensure_client(db);
        if (r >= 0)
                r = end_members(db);
        for (size_t i = 0; i < ELEMENTSOF(walks) && r >= 0; i++)
                r = walk(db, walks[i].text, walks[i].row, load);
        return r;
}
