/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/column.h"
#include "store/outbox-states.h"
#include "store/outbox-tables.h"
#include "store/outbox.h"
#include "store/sql.h"

static int payload_run(DbOp *op, sqlite3 *sql)
{
        OutboxPayloadOp *o = CONTAINER_OF(op, OutboxPayloadOp, op);
        sqlite3_stmt *s = sql_statement(sql, "SELECT payload FROM message WHERE number = ?");
        int r;

        if (!s)
                return -EIO;
        bind_u64(s, 1, o->number);
        int rc = sqlite3_step(s);
        if (rc == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_NULL)
                r = column_bytes(s, 0, &o->payload, &o->size);
        else
                r = rc == SQLITE_ROW || rc == SQLITE_DONE ? -ENOENT : sql_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

void outbox_payload_op_init(OutboxPayloadOp *o)
{
        *o = (OutboxPayloadOp){.op.run = payload_run};
}

/* Appends the rows of a prepared query, up to `limit` of them. */
static int collect(OutboxFindOp *o, sqlite3 *sql, sqlite3_stmt *s)
{
        size_t n = 0;
        int rc, r = 0;

        while (r >= 0 && n < o->limit && (rc = sqlite3_step(s)) != SQLITE_DONE) {
                if (rc != SQLITE_ROW) {
                        r = sql_error(sql, rc);
                        break;
                }
                OutboxRecord *records = reallocarray(o->records, o->n_records + 1, sizeof *records);
                if (!records) {
                        r = -ENOMEM;
                        break;
                }
                o->records = records;
                r = outbox_tables_read(s, records + o->n_records);
                if (r >= 0)
                        o->n_records++, n++;
        }
        (void) sqlite3_reset(s);
        return r;
}

static int newest_first(const void *a, const void *b)
{
        uint64_t x = ((const OutboxRecord *) a)->number, y = ((const OutboxRecord *) b)->number;

        return x < y ? 1 : x > y ? -1 : 0;
}

/* One walk along the index for each state, so that messages in other states cost nothing. */
static int find_newest(OutboxFindOp *o, sqlite3 *sql)
{
        int r = 0;

        for (int state = 0; state < _DELIVERY_STATE_MAX && r >= 0; state++) {
                if (!(o->states & (1u << state)))
                        continue;
                sqlite3_stmt *s = sql_statement(sql, "SELECT " OUTBOX_FIELDS_WITH("NULL") OUTBOX_TABLES
                                " WHERE d.state = ? AND d.message < ? AND d.member = 0"
                                " ORDER BY d.message DESC LIMIT ?");
                if (!s)
                        return -EIO;
                (void) sqlite3_bind_int(s, 1, state);
                bind_u64(s, 2, MIN(o->number, (uint64_t) INT64_MAX));
                bind_u64(s, 3, o->limit);
                r = collect(o, sql, s);
        }
        if (r < 0)
                return r;
        if (o->n_records > 0)
                qsort(o->records, o->n_records, sizeof *o->records, newest_first);
        while (o->n_records > o->limit)
                outbox_record_clear(o->records + --o->n_records);
        return 0;
}

/* When the first row is due after those that were found. */
static int find_next_wake(OutboxFindOp *o, sqlite3 *sql)
{
        sqlite3_stmt *s = sql_statement(sql, "SELECT min(wake) FROM delivery WHERE wake > ?");
        int rc, r = 0;

        if (!s)
                return -EIO;
        bind_u64(s, 1, o->until_usec);
        rc = sqlite3_step(s);
        o->next_usec = USEC_INFINITY;
        if (rc != SQLITE_ROW)
                r = sql_error(sql, rc);
        else if (sqlite3_column_type(s, 0) != SQLITE_NULL)
                o->next_usec = column_u64(s, 0);
        (void) sqlite3_reset(s);
        return r;
}

static const char *const query_texts[] = {
                [OUTBOX_QUEUE] = "SELECT " OUTBOX_COLUMNS " WHERE d.state = " SQL_QUEUED
                                 " AND d.queue = ?1 AND (d.priority < ?2"
                                 " OR (d.priority = ?2 AND d.message > ?3))"
                                 " ORDER BY d.priority DESC, d.message LIMIT ?4",
                [OUTBOX_WAKE] = "SELECT " OUTBOX_COLUMNS
                                " WHERE d.wake <= ?1 AND (d.wake, d.message) > (?2, ?3)"
                                " ORDER BY d.wake, d.message LIMIT ?4",
                [OUTBOX_MEMBERS] = "SELECT " OUTBOX_COLUMNS " WHERE d.message = ?1 AND d.member > ?2"
                                   " ORDER BY d.member LIMIT ?4",
                [OUTBOX_ID] = "SELECT " OUTBOX_COLUMNS
                              " WHERE m.id BETWEEN ?1 AND ?2 AND d.member = 0 LIMIT ?4",
};

static int find_run(DbOp *op, sqlite3 *sql)
{
        OutboxFindOp *o = CONTAINER_OF(op, OutboxFindOp, op);
        int r;

        if (o->query == OUTBOX_NEWEST)
                return find_newest(o, sql);
        sqlite3_stmt *s = sql_statement(sql, query_texts[o->query]);
        if (!s)
                return -EIO;
        switch (o->query) {
        case OUTBOX_QUEUE:
                bind_text(s, 1, o->queue);
                bind_u64(s, 2, o->priority);
                bind_u64(s, 3, o->number);
                break;
        case OUTBOX_WAKE:
                bind_u64(s, 1, o->until_usec);
                bind_u64(s, 2, o->from_usec);
                bind_u64(s, 3, o->number);
                break;
        case OUTBOX_MEMBERS:
                bind_u64(s, 1, o->number);
                bind_u64(s, 2, o->member);
                break;
        default:
                bind_id(s, 1, o->first);
                bind_id(s, 2, o->last);
        }
        bind_u64(s, 4, o->limit);
        r = collect(o, sql, s);
        return r < 0 || o->query != OUTBOX_WAKE ? r : find_next_wake(o, sql);
}

void outbox_find_op_init(OutboxFindOp *o, OutboxQuery query, size_t limit)
{
        *o = (OutboxFindOp){.op.run = find_run, .query = query, .limit = limit};
}

static int read_attempt(sqlite3_stmt *s, OutboxAttempt **ret)
{
        OutboxAttempt *a = calloc(1, sizeof *a);
        int r;

        if (!a)
                return -ENOMEM;
        a->member = (uint32_t) column_u64(s, 0);
        a->attempt = (uint32_t) column_u64(s, 1);
        a->sent_usec = column_u64(s, 2);
        a->ended_usec = column_u64(s, 3);
        (void) snprintf(a->receiver_name, sizeof a->receiver_name, "%s",
                        (const char *) sqlite3_column_text(s, 4));
        (void) snprintf(a->outcome, sizeof a->outcome, "%s", (const char *) sqlite3_column_text(s, 5));
        r = column_text(s, 6, &a->detail);
        if (r < 0) {
                free(a);
                return r;
        }
        *ret = a;
        return 0;
}

static int attempts_run(DbOp *op, sqlite3 *sql)
{
        OutboxAttemptsOp *o = CONTAINER_OF(op, OutboxAttemptsOp, op);
        sqlite3_stmt *s = sql_statement(sql,
                        "SELECT member, attempt, sent, ended, receiver_name, outcome, detail"
                        " FROM attempt WHERE message = ? ORDER BY ended, member, n");
        OutboxAttempt **end = &o->attempts;
        int rc, r = 0;

        if (!s)
                return -EIO;
        bind_u64(s, 1, o->number);
        while (r >= 0 && (rc = sqlite3_step(s)) != SQLITE_DONE) {
                r = rc == SQLITE_ROW ? read_attempt(s, end) : sql_error(sql, rc);
                if (r >= 0)
                        end = &(*end)->next;
        }
        (void) sqlite3_reset(s);
        return r;
}

void outbox_attempts_op_init(OutboxAttemptsOp *o)
{
        *o = (OutboxAttemptsOp){.op.run = attempts_run};
}
