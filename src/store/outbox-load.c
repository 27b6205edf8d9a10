/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/column.h"
#include "store/outbox.h"

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
                NULL,
};

int outbox_open(const char *path, Db **ret, Error *error)
{
        return db_open(path, migrations, LOCK_USEC, ret, error);
}

int outbox_read_record(sqlite3_stmt *s, OutboxRecord *ret)
{
        OutboxRecord o = {
                        .number = column_u64(s, 0),
                        .size = column_u64(s, 4),
                        .accepted_usec = column_u64(s, 5),
                        .state = (DeliveryState) sqlite3_column_int(s, 6),
                        .sequence = column_u64(s, 10),
                        .attempts = (uint32_t) column_u64(s, 11),
                        .duplicate = sqlite3_column_int(s, 12),
                        .settled_usec = column_u64(s, 14),
        };
        _cleanup_free_ char *name = NULL;
        int r;

        if (o.state >= _DELIVERY_STATE_MAX || column_id(s, 1, &o.id) < 0 ||
                        column_id(s, 7, &o.receiver) < 0 || column_id(s, 9, &o.stream) < 0)
                return -EUCLEAN;
        r = column_text(s, 8, &name);
        if (r >= 0)
                r = column_text(s, 2, &o.target);
        if (r >= 0)
                r = column_text(s, 3, &o.queue);
        if (r >= 0)
                r = column_text(s, 13, &o.error);
        if (r >= 0)
                r = column_bytes(s, 15, &o.reply, &o.reply_size);
        if (r >= 0 && strlen(name) > NAME_MAX_LENGTH)
                r = -EUCLEAN;
        if (r < 0) {
                outbox_record_clear(&o);
                return r;
        }
        strcpy(o.receiver_name, name);
        *ret = o;
        return 0;
}

/* One SELECT, a function for each row. */
static int walk(Db *db, const char *text, int (*row)(sqlite3_stmt *s, const OutboxLoad *load),
                const OutboxLoad *load)
{
        sqlite3_stmt *s = db_statement(db_sql(db), text);
        int rc, r = 0;

        if (!s)
                return -EIO;
        while (r >= 0 && (rc = sqlite3_step(s)) != SQLITE_DONE)
                r = rc == SQLITE_ROW ? row(s, load) : db_error(db_sql(db), rc);
        (void) sqlite3_reset(s);
        return r < 0 ? r : 0;
}

static int load_client(sqlite3_stmt *s, const OutboxLoad *load)
{
        sd_id128_t id;
        int r = column_id(s, 0, &id);

        if (r >= 0)
                load->client(id, column_u64(s, 1), column_u64(s, 2), load->userdata);
        return r;
}

static int load_bound(sqlite3_stmt *s, const OutboxLoad *load)
{
        OutboxRecord record;
        int r = outbox_read_record(s, &record);

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
        return load->receiver(id, (const char *) sqlite3_column_text(s, 1), load->userdata);
}

static int ensure_client(Db *db)
{
        sqlite3_stmt *s = db_statement(db_sql(db), "INSERT OR IGNORE INTO client (one, id) VALUES (1, ?)");
        sd_id128_t id;
        int r = sd_id128_randomize(&id);

        if (r < 0)
                return r;
        if (!s)
                return -EIO;
        bind_id(s, 1, id);
        return db_step_done(s);
}

int outbox_load(Db *db, const OutboxLoad *load)
{
        /* 0 queued, 1 bound, 4 cancelling; from 5 on final. */
        static const struct {
                const char *text;
                int (*row)(sqlite3_stmt *s, const OutboxLoad *load);
        } walks[] = {
                        {"SELECT id, (SELECT ifnull(max(number), 0) FROM message),"
                         " (SELECT count(*) FROM delivery WHERE state < 5) FROM client", load_client  },
                        {"SELECT " OUTBOX_COLUMNS " WHERE d.state IN (1, 4) ORDER BY m.number",                   load_bound   },
                        {"SELECT queue, count(*) FROM delivery WHERE state = 0 GROUP BY queue",                   load_queued  },
                        {"SELECT stream, receiver FROM stream",                                                   load_stream  },
                        {"SELECT id, record FROM receiver",                                                       load_receiver},
        };
        int r;

        static_assert(DELIVERY_QUEUED == 0 && DELIVERY_BOUND == 1 && DELIVERY_CANCELLING == 4 &&
                                        DELIVERY_ACKED == 5,
                        "the queries above name states by number");
        r = ensure_client(db);
        for (size_t i = 0; i < ELEMENTSOF(walks) && r >= 0; i++)
                r = walk(db, walks[i].text, walks[i].row, load);
        return r;
}
