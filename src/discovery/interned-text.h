/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts that many leases share: each is stored once and counted. */

#include "base/hash-index.h"

typedef struct InternedText {
        IndexItem item;
        uint32_t users;
        char text[];
} InternedText;

/* Begins as {.hash_seed = a random number}. */
typedef struct InternedTexts {
        uint64_t hash_seed;
        Index index;
} InternedTexts;

/* Finds or makes the text, and counts one more user. NULL: out of memory. */
InternedText *interned_text_get(InternedTexts *t, const char *text);
/* One user less; the last one frees it. NULL does nothing. */
void interned_text_put(InternedTexts *t, InternedText *one);
void interned_texts_clear(InternedTexts *t); /* all must have been put back */
