/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Says in one sentence why a message is not done yet, and what would change that. */

#include "client/state/message.h"

typedef struct Explanation {
        char why[ERROR_MAX];
        char advice[ERROR_MAX]; /* "" where nothing needs to be done */
} Explanation;

void explain(const Message *m, Explanation *ret);
