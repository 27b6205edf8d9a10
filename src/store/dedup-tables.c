/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/dedup-tables.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/column.h"
#include "store/sql.h"

static uint64_t *pack_ranges(const SequenceSet *set)
{
        uint64_t *packed = calloc(set->n_ranges + 1, 2 * sizeof *packed);

        for (size_t i = 0; packed && i < set->n_ranges; i++) {
                packed[2 * i] = htobe64(set->ranges[i].first);
                packed[2 * i + 1] = htobe64(set->ranges[i].last);
        }
        return packed;
}

int dedup_tables_unpack(SequenceSet *set, const void *data, size_t n)
{
        uint64_t pair[2];
        int r;

        if (n % sizeof pair != 0)
                return -EUCLEAN;
        for (size_t at = 0; at < n; at += sizeof pair) {
                memcpy(pair, (const char *) data + at, sizeof pair);
                r = sequence_set_add(set, be64toh(pair[0]), be64toh(pair[1]));
                if (r < 0)
                        return r == -EINVAL ? -EUCLEAN : r;
        }
        return 0;
}

int dedup_tables_record(sqlite3 *sql, const DedupRecord *record, const void *reply, size_t reply_size)
{
        /* The condition is about the row that is there already: a later attempt replaces a failed one. */
        sqlite3_stmt *s = sql_statement(sql,
                        "INSERT INTO outcome (stream, sequence, message, attempt, outcome, reply, cut) "
                        "VALUES "
                        "(?, ?, ?, ?, ?, ?, ?)"
                        " ON CONFLICT (stream, sequence) DO UPDATE SET"
                        " attempt = excluded.attempt, outcome = excluded.outcome, reply = excluded.reply,"
                        " cut = excluded.cut"
                        " WHERE outcome.outcome = ? AND outcome.message = excluded.message"
                        " AND outcome.attempt < excluded.attempt");
        if (!s)
                return -EIO;
        bind_id(s, 1, record->stream);
        bind_u64(s, 2, record->sequence);
        bind_id(s, 3, record->message);
        bind_u64(s, 4, record->attempt);
        (void) sqlite3_bind_int(s, 5, (int) record->outcome);
        bind_bytes(s, 6, reply, reply_size);
        (void) sqlite3_bind_int(s, 7, record->cut);
        (void) sqlite3_bind_int(s, 8, OUTCOME_FAILED);
        return sql_run(s);
}

static int delete_range(sqlite3 *sql, sd_id128_t stream, uint64_t first, uint64_t last)
{
        sqlite3_stmt *s = sql_statement(
                        sql, "DELETE FROM outcome WHERE stream = ? AND sequence BETWEEN ? AND ?");

        if (!s)
                return -EIO;
        bind_id(s, 1, stream);
        bind_u64(s, 2, first);
        bind_u64(s, 3, MIN(last, (uint64_t) INT64_MAX));
        return sql_run(s);
}

int dedup_tables_prune(sqlite3 *sql, sd_id128_t stream, const SequenceSet *set)
{
        int r;

        r = delete_range(sql, stream, 0, set->low - 1);
        for (size_t i = 0; i < set->n_ranges && r >= 0; i++)
                r = delete_range(sql, stream, set->ranges[i].first, set->ranges[i].last);
        if (r < 0)
                return r;

        _cleanup_free_ uint64_t *packed = pack_ranges(set);
        if (!packed)
                return -ENOMEM;
        sqlite3_stmt *s = sql_statement(
                        sql, "INSERT OR REPLACE INTO stream (stream, low, ranges) VALUES (?, ?, ?)");
        if (!s)
                return -EIO;
        bind_id(s, 1, stream);
        bind_u64(s, 2, MIN(set->low, (uint64_t) INT64_MAX));
        bind_bytes(s, 3, packed, set->n_ranges * 2 * sizeof *packed);
        return sql_run(s);
}
