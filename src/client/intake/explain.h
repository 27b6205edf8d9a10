/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Why a message is not done yet, as one sentence, and what would change that. */

#include "client/state/message.h"

typedef struct Explanation {
        char why[ERROR_MAX];
        char advice[ERROR_MAX]; /* "" where nothing needs to be done */
} Explanation;

void explain(const Message *m, Explanation *ret);
