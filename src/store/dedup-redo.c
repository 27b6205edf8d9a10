/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/dedup-redo.h"

#include <errno.h>

static sd_id128_t take_id(Reader *in)
{
        sd_id128_t id;

        take_copy(in, id.bytes, sizeof id.bytes);
        return id;
}

int dedup_redo_put_outcome(Buffer *out, const DedupRecord *record, const void *reply, size_t reply_size)
{
        if (!buffer_reserve(out, 64 + reply_size))
                return -ENOMEM;
        put_u8(out, record->cut ? DEDUP_REDO_OUTCOME_CUT : DEDUP_REDO_OUTCOME);
        put_bytes(out, record->stream.bytes, sizeof record->stream);
        put_u64(out, record->sequence);
        put_bytes(out, record->message.bytes, sizeof record->message);
        put_u32(out, record->attempt);
        put_u8(out, (uint8_t) record->outcome);
        put_bytes(out, reply, reply_size);
        return 0;
}

int dedup_redo_put_prune(Buffer *out, sd_id128_t stream, const SequenceSet *set)
{
        if (!buffer_reserve(out, 64 + set->n_ranges * 16))
                return -ENOMEM;
        put_u8(out, DEDUP_REDO_PRUNE);
        put_bytes(out, stream.bytes, sizeof stream);
        put_u64(out, set->low);
        for (size_t i = 0; i < set->n_ranges; i++) {
                put_u64(out, set->ranges[i].first);
                put_u64(out, set->ranges[i].last);
        }
        return 0;
}

static int take_set(Reader *in, SequenceSet *ret)
{
        int r = sequence_set_add_below(ret, take_u64(in));

        while (in->left > 0 && !in->bad && r >= 0) {
                uint64_t first = take_u64(in);
                r = sequence_set_add(ret, first, take_u64(in));
        }
        return r;
}

int dedup_redo_take(const uint8_t *data, size_t size, DedupRedoRecord *ret)
{
        Reader in = {data, size, false};
        DedupRedoRecord record = {.type = (DedupRedoType) take_u8(&in)};
        int r = 0;

        if (record.type == DEDUP_REDO_OUTCOME_CUT) {
                record.type = DEDUP_REDO_OUTCOME;
                record.outcome.cut = true;
        }
        sequence_set_init(&record.settled);
        record.outcome.stream = take_id(&in);
        if (record.type == DEDUP_REDO_PRUNE)
                r = take_set(&in, &record.settled);
        else if (record.type == DEDUP_REDO_OUTCOME) {
                record.outcome.sequence = take_u64(&in);
                record.outcome.message = take_id(&in);
                record.outcome.attempt = take_u32(&in);
                record.outcome.outcome = (Outcome) take_u8(&in);
                record.reply = take_rest(&in);
        } else
                r = -EUCLEAN;
        if (r >= 0 && in.bad)
                r = -EUCLEAN;
        if (r < 0) {
                sequence_set_clear(&record.settled);
                return r;
        }
        *ret = record;
        return 0;
}
