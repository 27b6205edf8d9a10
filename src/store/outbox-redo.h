/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outbox's records in the redo log, to and from bytes. The format is on disk: a change needs another
 * version in the log's magic (redo.c). */

#include "base/buffer.h"
#include "store/outbox-record.h"

typedef enum OutboxRedoType {
        OUTBOX_REDO_INSERT = 1,
        OUTBOX_REDO_SAVE,
        OUTBOX_REDO_TRIM,
        OUTBOX_REDO_STREAM,
} OutboxRedoType;

/* Append a record. 0, -ENOMEM, or -ENOTSUP: it does not fit the format, so it must go to the tables. */
int outbox_redo_put_insert(Buffer *out, const OutboxRecord *record, const void *payload);
int outbox_redo_put_save(Buffer *out, const OutboxRecord *record);
int outbox_redo_put_trim(Buffer *out, unsigned keep, uint64_t keys_since_usec);
int outbox_redo_put_stream(Buffer *out, sd_id128_t stream, sd_id128_t receiver);

/* What the memtable needs of a record. */
typedef struct OutboxRedoHead {
        OutboxRedoType type;
        uint64_t number; /* insert, save */
        uint32_t member;
        DeliveryState state;
        sd_id128_t stream, receiver; /* insert, save, stream */
        unsigned keep;               /* trim */
        uint64_t keys_since_usec;
} OutboxRedoHead;
int outbox_redo_take_head(const uint8_t *data, size_t size, OutboxRedoHead *ret); /* 0 or -EUCLEAN */

/* Reads all of a record; a save replaces what the insert said. The caller clears `record`, even after a
 * failure. *ret_payload points into `data`. 0, -ENOMEM or -EUCLEAN. */
int outbox_redo_take_insert(
                const uint8_t *data, size_t size, OutboxRecord *record, const void **ret_payload);
int outbox_redo_take_save(const uint8_t *data, size_t size, OutboxRecord *record);
