/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox-tables.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/column.h"
#include "store/outbox-states.h"
#include "store/sql.h"

int outbox_tables_add_stream(sqlite3 *sql, sd_id128_t stream, sd_id128_t receiver)
{
        if (sd_id128_is_null(stream))
                return 0;
        sqlite3_stmt *s =
                        sql_statement(sql, "INSERT OR IGNORE INTO stream (stream, receiver) VALUES (?, ?)");
        if (!s)
                return -EIO;
        bind_id(s, 1, stream);
        bind_id(s, 2, receiver);
        return sql_run(s);
}

int outbox_tables_remove_stream(sqlite3 *sql, sd_id128_t stream, sd_id128_t receiver)
{
        sqlite3_stmt *s = sql_statement(sql, "DELETE FROM stream WHERE stream = ? AND receiver = ?");

        if (!s)
                return -EIO;
        bind_id(s, 1, stream);
        bind_id(s, 2, receiver);
        return sql_run(s);
}

/* Parameters 1 to 14 of the two statements that write how far a delivery got. */
static void bind_progress(sqlite3_stmt *s, const OutboxRecord *record)
{
        (void) sqlite3_bind_int(s, 1, (int) record->state);
        bind_id_or_null(s, 2, record->receiver);
        bind_text(s, 3, record->receiver_name);
        bind_id_or_null(s, 4, record->stream);
        bind_u64(s, 5, record->sequence);
        bind_u64(s, 6, record->attempts);
        (void) sqlite3_bind_int(s, 7, (int) outbox_record_flags(record));
        bind_text(s, 8, record->error);
        bind_u64(s, 9, record->settled_usec);
        bind_bytes(s, 10, record->reply, record->reply_size);
        bind_u64(s, 11, record->sent_usec);
        if (record->wake_usec > 0)
                bind_u64(s, 12, record->wake_usec);
        else
                (void) sqlite3_bind_null(s, 12);
        bind_u64(s, 13, record->number);
        bind_u64(s, 14, record->member);
}

int outbox_tables_insert_delivery(sqlite3 *sql, const OutboxRecord *record)
{
        sqlite3_stmt *s = sql_statement(sql,
                        "INSERT INTO delivery (state, receiver, receiver_name, stream, sequence, attempts,"
                        " duplicate, error, settled, reply, sent, wake, message, member, queue, priority)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

        if (!s)
                return -EIO;
        bind_progress(s, record);
        bind_text(s, 15, record->queue);
        (void) sqlite3_bind_int(s, 16, (int) record->policy.priority);
        return sql_run(s);
}

static int insert_message(sqlite3 *sql, const OutboxRecord *record, const void *payload, const char *key)
{
        sqlite3_stmt *s = sql_statement(sql, "INSERT INTO message (number, id, target, size, accepted, "
                                             "payload, ack_timeout, backoff,"
                                             " backoff_max, max_attempts, start, deadline, key)"
                                             " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

        if (!s)
                return -EIO;
        bind_u64(s, 1, record->number);
        bind_id(s, 2, record->id);
        bind_text(s, 3, record->target);
        bind_u64(s, 4, record->size);
        bind_u64(s, 5, record->accepted_usec);
        bind_bytes(s, 6, payload, record->size);
        bind_u64(s, 7, record->policy.ack_timeout_usec);
        bind_u64(s, 8, record->policy.backoff_usec);
        bind_u64(s, 9, record->policy.backoff_max_usec);
        bind_u64(s, 10, record->policy.max_attempts);
        bind_u64(s, 11, record->policy.start_usec);
        bind_u64(s, 12, record->policy.deadline_usec);
        if (key)
                bind_text(s, 13, key);
        else
                (void) sqlite3_bind_null(s, 13);
        return sql_run(s);
}

int outbox_tables_insert(sqlite3 *sql, const OutboxRecord *record, const void *payload, const char *key)
{
        int r = insert_message(sql, record, payload, key);

        return r < 0 ? r : outbox_tables_insert_delivery(sql, record);
}

bool outbox_tables_have(sqlite3 *sql, const OutboxRecord *record)
{
        sqlite3_stmt *s = sql_statement(sql, "SELECT 1 FROM message WHERE number = ? AND id = ?");

        if (!s)
                return false;
        bind_u64(s, 1, record->number);
        bind_id(s, 2, record->id);
        const bool found = sqlite3_step(s) == SQLITE_ROW;
        (void) sqlite3_reset(s);
        return found;
}

/* Nobody needs the payload when the message is acked or cancelled and no member is under way. */
static int drop_payload(sqlite3 *sql, uint64_t number)
{
        sqlite3_stmt *s = sql_statement(sql, "UPDATE message SET payload = NULL WHERE number = ?1 AND NOT "
                                             "EXISTS (SELECT 1 FROM delivery"
                                             " WHERE message = ?1 AND (state NOT IN (" SQL_FINAL
                                             ") OR (member = 0 AND state IN (" SQL_DEAD_LETTER "))))");

        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        return sql_run(s);
}

static int add_attempt(sqlite3 *sql, uint64_t number, const OutboxAttempt *a)
{
        sqlite3_stmt *s =
                        sql_statement(sql, "INSERT INTO attempt (message, member, n, attempt, sent, ended, "
                                           "receiver_name, outcome,"
                                           " detail) VALUES (?1, ?2, (SELECT ifnull(max(n), 0) + 1 FROM "
                                           "attempt WHERE message = ?1"
                                           " AND member = ?2), ?3, ?4, ?5, ?6, ?7, ?8)");

        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        bind_u64(s, 2, a->member);
        bind_u64(s, 3, a->attempt);
        bind_u64(s, 4, a->sent_usec);
        bind_u64(s, 5, a->ended_usec);
        bind_text(s, 6, a->receiver_name);
        bind_text(s, 7, a->outcome);
        bind_text(s, 8, a->detail);
        return sql_run(s);
}

static int add_attempts(sqlite3 *sql, uint64_t number, const OutboxAttempt *first)
{
        int r = 0;

        for (const OutboxAttempt *a = first; a && r >= 0; a = a->next)
                r = add_attempt(sql, number, a);
        if (r < 0 || !first)
                return r;
        sqlite3_stmt *s = sql_statement(sql, "DELETE FROM attempt WHERE message = ?1 AND member = ?2 AND n "
                                             "<= (SELECT max(n) FROM attempt"
                                             " WHERE message = ?1 AND member = ?2) - ?3");
        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        bind_u64(s, 2, first->member);
        bind_u64(s, 3, ATTEMPTS_KEPT);
        return sql_run(s);
}

int outbox_tables_save(sqlite3 *sql, const OutboxRecord *record, const OutboxAttempt *attempts)
{
        int r;

        sqlite3_stmt *s = sql_statement(sql,
                        "UPDATE delivery SET state = ?, receiver = ?, receiver_name = ?,"
                        " stream = ?, sequence = ?, attempts = ?, duplicate = ?, error = ?,"
                        " settled = ?, reply = ?, sent = ?, wake = ? WHERE message = ? AND member = ?");
        if (!s)
                return -EIO;
        bind_progress(s, record);
        r = sql_run(s);
        if (r >= 0)
                r = add_attempts(sql, record->number, attempts);
        if (r >= 0 && delivery_state_is_final(record->state))
                r = drop_payload(sql, record->number);
        return r < 0 || record->state != DELIVERY_BOUND
                               ? r
                               : outbox_tables_add_stream(sql, record->stream, record->receiver);
}

int outbox_tables_read(sqlite3_stmt *s, OutboxRecord *ret)
{
        OutboxRecord o = {
                        .number = column_u64(s, 0),
                        .size = column_u64(s, 4),
                        .accepted_usec = column_u64(s, 5),
                        .state = (DeliveryState) sqlite3_column_int(s, 6),
                        .sequence = column_u64(s, 10),
                        .attempts = (uint32_t) column_u64(s, 11),
                        .settled_usec = column_u64(s, 14),
                        .member = (uint32_t) column_u64(s, 16),
                        .sent_usec = column_u64(s, 17),
                        .wake_usec = column_u64(s, 18),
                        .policy =
                                        {
                                                        .ack_timeout_usec = column_u64(s, 19),
                                                        .backoff_usec = column_u64(s, 20),
                                                        .backoff_max_usec = column_u64(s, 21),
                                                        .max_attempts = column_u64(s, 22),
                                                        .start_usec = column_u64(s, 23),
                                                        .deadline_usec = column_u64(s, 24),
                                                        .priority = (unsigned) column_u64(s, 25),
                                        },
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
        outbox_record_set_flags(&o, (unsigned) column_u64(s, 12));
        strcpy(o.receiver_name, name);
        *ret = o;
        return 0;
}
