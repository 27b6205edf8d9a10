/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox-record.h"

#include <stdlib.h>

void outbox_record_clear(OutboxRecord *record)
{
        free(record->target);
        free(record->queue);
        free(record->error);
        free(record->reply);
        *record = (OutboxRecord){};
}

void outbox_records_free(OutboxRecord *records, size_t n)
{
        for (size_t i = 0; i < n; i++)
                outbox_record_clear(records + i);
        free(records);
}

OutboxAttempt *outbox_attempts_free(OutboxAttempt *first)
{
        while (first) {
                OutboxAttempt *next = first->next;
                free(first->detail);
                free(first);
                first = next;
        }
        return NULL;
}
