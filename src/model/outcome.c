/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/outcome.h"

#include "base/string-table.h"

static const char *const outcome_names[_OUTCOME_MAX] = {
                [OUTCOME_ACKED] = "acked",
                [OUTCOME_REJECTED] = "rejected",
                [OUTCOME_FAILED] = "failed",
                [OUTCOME_BUSY] = "busy",
                [OUTCOME_WORKING] = "working",
                [OUTCOME_SETTLED] = "settled",
                [OUTCOME_CONFLICT] = "conflict",
                [OUTCOME_CANCELLED] = "cancelled",
};
DEFINE_STRING_TABLE(outcome, Outcome, outcome_names)
