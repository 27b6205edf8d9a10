/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a receiver answers to a message. The numbers are on the wire and on disk: never change one. */

#include "base/macro.h"

typedef enum Outcome {
        OUTCOME_ACKED = 1,    /* final: processed; data is the reply */
        OUTCOME_REJECTED = 2, /* final: will never be processed; data says why */
        OUTCOME_FAILED = 3, /* this attempt failed; data says why; a higher attempt runs the handler again */
        OUTCOME_BUSY = 4,   /* not started, no room; counts as no attempt */
        OUTCOME_WORKING = 5,   /* queued or running: keep waiting */
        OUTCOME_SETTLED = 6,   /* the sender settled it earlier; the receiver knows nothing more */
        OUTCOME_CONFLICT = 7,  /* the sequence belongs to another message: an error, never an ack */
        OUTCOME_CANCELLED = 8, /* final, answers CANCEL: never started, or killed before it finished */
        _OUTCOME_MAX,
} Outcome;

const char *outcome_to_string(Outcome value);
int outcome_from_string(const char *word);

/* A final outcome is never replaced by another. */
static inline bool outcome_is_final(Outcome o)
{
        return o == OUTCOME_ACKED || o == OUTCOME_REJECTED || o == OUTCOME_CANCELLED;
}
