/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/follow.h"
#include "ctl/query.h"
#include "ctl/verb.h"

/* Looks up the message first. This fails if no client runs, and it returns the whole id, which events
 * contain. */
static int wait_for(Ctl *c, Follow *f, const char *id)
{
        _cleanup_(cjsonp) cJSON *message = NULL;
        int r = query_message(c, id, &message);

        return r != 0 ? r : follow_message(f, value_string(message, "Id"), value_string(message, "Mode"));
}

int verb_wait(Ctl *c, int argc, char **argv)
{
        _cleanup_(follow_freep) Follow *f = NULL;
        int code = follow_new(c, &f);

        if (code != 0)
                return code;
        for (int i = 1; i < argc && code != EXIT_INTERRUPTED && !c->hopeless; i++) {
                int r = wait_for(c, f, argv[i]);
                if (r != EXIT_OK)
                        code = r;
        }
        return code;
}
