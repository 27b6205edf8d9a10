/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/each.h"

#include <stddef.h>

int each_word(Ctl *c, char *const *words, int (*fn)(Ctl *c, const char *word, void *userdata),
                void *userdata)
{
        bool several = words[0] && words[1];
        int code = EXIT_OK;

        for (size_t i = 0; words[i] && code != EXIT_INTERRUPTED && !c->hopeless; i++) {
                c->about = several ? words[i] : NULL;
                int r = fn(c, words[i], userdata);
                if (r != EXIT_OK)
                        code = r;
        }
        c->about = NULL;
        return code;
}
