/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/interned-text.h"

#include <stdlib.h>

#include "base/str-util.h"

InternedText *interned_text_get(InternedTexts *t, const char *text)
{
        uint32_t hash = index_hash(t->hash_seed, text, strlen(text));
        IndexItem *i = index_first(&t->index, hash);
        InternedText *one;

        while (i && !str_equal(CONTAINER_OF(i, InternedText, item)->text, text))
                i = index_next(i);
        if (i) {
                one = CONTAINER_OF(i, InternedText, item);
                one->users++;
                return one;
        }
        one = malloc(sizeof *one + strlen(text) + 1);
        if (!one)
                return NULL;
        *one = (InternedText){.users = 1};
        strcpy(one->text, text);
        if (index_add(&t->index, &one->item, hash) < 0) {
                free(one);
                return NULL;
        }
        return one;
}

void interned_text_put(InternedTexts *t, InternedText *one)
{
        if (!one || --one->users > 0)
                return;
        index_remove(&t->index, &one->item);
        free(one);
}

void interned_texts_clear(InternedTexts *t)
{
        index_clear(&t->index);
}
