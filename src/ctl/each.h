/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs that take several messages or receivers. */

#include "ctl/ctl.h"

/* Calls fn(c, word, userdata) for each word of the list, which ends with NULL. If there are several, the
 * errors name the word. A failure does not stop it, unless the next word would fail for the same reason or
 * the user has interrupted. Returns EXIT_OK, or the exit code of the last failure. */
int each_word(Ctl *c, char *const *words, int (*fn)(Ctl *c, const char *word, void *userdata),
                void *userdata);
