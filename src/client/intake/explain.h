/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Explains in one sentence why a message is not done yet, and how to help. */

#include "client/state/message.h"

typedef struct Explanation {
        char why[ERROR_MAX];
        char advice[ERROR_MAX]; /* "": nobody needs to do anything */
} Explanation;

void explain(const Message *m, Explanation *ret);
