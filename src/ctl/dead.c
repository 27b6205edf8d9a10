/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "ctl/bar.h"
#include "ctl/each.h"
#include "ctl/messages.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/verb.h"
#include "model/delivery.h"

/* Purges dead letters only. The client keeps other settled messages as its history. */
static int purge(Ctl *c, const char *id, void *userdata)
{
        _cleanup_(cjsonp) cJSON *properties = NULL;
        int r = query_message(c, id, &properties), state;

        if (r != 0)
                return r;
        state = delivery_state_from_string(value_string(properties, "State"));
        if (state < 0 || !delivery_state_is_dead_letter(state))
                return ctl_fail(EXIT_FAILED, "%s is %s, not a dead letter", id,
                                value_string(properties, "State"));
        return messages_call(c, id, &(MessageCall){"Purge"});
}

/* For a client that has no pages: `method` for each dead letter. */
static int call_for_each(Ctl *c, const char *method, uint32_t *ret_done)
{
        _cleanup_(cjsonp) cJSON *all = NULL;
        MessageCall call = {method};
        const cJSON *m;
        char **ids;
        size_t n = 0;
        bool more;
        int r;

        r = query_messages(c, UINT32_MAX, &all, &more);
        if (r != 0)
                return r;
        ids = calloc((size_t) cJSON_GetArraySize(all) + 1, sizeof *ids);
        if (!ids)
                return ctl_fail(EXIT_FAILED, "out of memory");
        cJSON_ArrayForEach(m, all)
                ids[n++] = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(m, "id"));
        r = each_word(c, ids, messages_call, &call);
        *ret_done = call.done;
        free(ids);
        return r;
}

/* Calls `method` for every page of dead letters. */
static int call_for_pages(Ctl *c, const char *method, const char *older, uint32_t *ret_done)
{
        _cleanup_free_ char *next = strdup("");
        char line[64];
        Bar bar = {};

        for (;;) {
                char *following = NULL;
                uint32_t done = 0;
                int r = query_many(c, method, next ?: "", &done, &following);

                if (r != 0)
                        return r;
                if (!following)
                        return call_for_each(c, older, ret_done);
                free(next);
                next = following;
                *ret_done += done;
                bar_erase(&bar);
                if (str_empty(next))
                        return 0;
                (void) snprintf(line, sizeof line, "%u messages so far", *ret_done);
                if (c->err_is_terminal)
                        bar_show(&bar, line);
        }
}

static int call_for_all(Ctl *c, const char *method, const char *older)
{
        uint32_t n = 0;
        int r = call_for_pages(c, method, older, &n);

        if (c->json == JSON_OFF && !c->no_legend)
                printf("%u message%s.\n", n, n == 1 ? "" : "s");
        return r;
}

static int retry_or_purge(Ctl *c, bool to_purge, char **ids)
{
        if (c->all)
                return to_purge ? call_for_all(c, "PurgeMany", "Purge")
                                : call_for_all(c, "RetryMany", "Retry");
        return to_purge ? each_word(c, ids, purge, NULL)
                        : each_word(c, ids, messages_call, &(MessageCall){"Retry"});
}

int verb_dead(Ctl *c, int argc, char **argv)
{
        const char *command = argc > 1 ? argv[1] : "list";
        bool has_ids = argc > 2, to_purge = str_equal(command, "purge");

        for (DeliveryState s = 0; s < _DELIVERY_STATE_MAX; s++)
                if (delivery_state_is_dead_letter(s) &&
                                strv_append(&c->states, delivery_state_to_string(s)) < 0)
                        return ctl_fail(EXIT_FAILED, "out of memory");
        if (str_equal(command, "list") && !has_ids)
                return messages_print(c);
        if (str_equal(command, "show") && has_ids && !c->all)
                return verb_show(c, argc - 1, argv + 1);
        if ((to_purge || str_equal(command, "retry")) && has_ids != c->all)
                return retry_or_purge(c, to_purge, argv + 2);
        return ctl_fail(EXIT_USAGE,
                        "it is \"dead list\", \"dead show ID…\", \"dead retry ID…\" or \"dead purge ID…\";"
                        " --all instead of ID… to retry or purge all");
}
