/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/each.h"
#include "ctl/follow.h"
#include "ctl/query.h"
#include "ctl/verb.h"

/* Looks up the message first. This fails if no client runs, and it returns the whole id, which events
 * contain. */
static int wait_for(Ctl *c, const char *id, void *userdata)
{
        _cleanup_(cjsonp) cJSON *message = NULL;
        Follow *f = userdata;
        int r = query_message(c, id, &message);

        return r != 0 ? r : follow_message(f, value_string(message, "Id"), value_string(message, "Mode"));
}

int verb_wait(Ctl *c, int argc, char **argv)
{
        _cleanup_(follow_freep) Follow *f = NULL;
        int code = follow_new(c, &f);

        return code == 0 ? each_word(c, argv + 1, wait_for, f) : code;
}
