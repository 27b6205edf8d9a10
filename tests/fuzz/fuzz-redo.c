/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "store/dedup-redo.h"
#include "store/outbox-redo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record of the redo log whose checksum is right, and whose content is anything. What is taken lies within
 * the record and within the limits. */
static void check_outbox(const uint8_t *data, size_t size)
{
        OutboxRecord record = {};
        const void *payload = NULL;
        OutboxRedoHead head;

        if (outbox_redo_take_head(data, size, &head) >= 0 && (unsigned) head.state >= _DELIVERY_STATE_MAX)
                abort();
        if (outbox_redo_take_insert(data, size, &record, &payload) >= 0 &&
                        (record.size > size ||
                                        (record.size > 0 &&
                                                        ((const uint8_t *) payload < data ||
                                                                        (const uint8_t *) payload + record.size >
                                                                                        data + size)) ||
                                        (unsigned) record.state >= _DELIVERY_STATE_MAX))
                abort();
        (void) outbox_redo_take_save(data, size, &record);
        outbox_record_clear(&record);
}

static void check_dedup(const uint8_t *data, size_t size)
{
        DedupRedoRecord record = {};

        if (dedup_redo_take(data, size, &record) >= 0 && record.reply.size > 0 &&
                        (record.reply.data < data || record.reply.data + record.reply.size > data + size))
                abort();
        sequence_set_clear(&record.settled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_outbox(data, size);
        check_dedup(data, size);
        return 0;
}
