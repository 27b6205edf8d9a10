/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "ctl/bar.h"
#include "ctl/messages.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/verb.h"
#include "model/delivery.h"

/* Purges dead letters only. The client keeps other settled messages as its history. */
static int purge_each(Ctl *c, char **ids)
{
        int code = EXIT_OK, r;

        for (; *ids && !c->hopeless; ids++) {
                _cleanup_(cjsonp) cJSON *properties = NULL;
                const char *const one[] = {*ids, NULL};
                int state;

                r = query_message(c, *ids, &properties);
                if (r == 0) {
                        state = delivery_state_from_string(value_string(properties, "State"));
                        r = state >= 0 && delivery_state_is_dead_letter(state)
                                            ? messages_call_each(c, "Purge", one, NULL)
                                            : ctl_fail(EXIT_FAILED, "%s is %s, not a dead letter", *ids,
                                                              value_string(properties, "State"));
                }
                if (r != 0)
                        code = r;
        }
        return code;
}

/* For a client that has no pages: `method` for each dead letter. */
static int call_for_each(Ctl *c, const char *method, uint32_t *ret_done)
{
        _cleanup_(cjsonp) cJSON *all = NULL;
        const char **ids;
        const cJSON *m;
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
                ids[n++] = value_string(m, "id");
        r = messages_call_each(c, method, ids, ret_done);
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

static int retry_or_purge(Ctl *c, bool purge, char **ids)
{
        if (c->all)
                return purge ? call_for_all(c, "PurgeMany", "Purge") : call_for_all(c, "RetryMany", "Retry");
        return purge ? purge_each(c, ids) : messages_call_each(c, "Retry", (const char *const *) ids, NULL);
}

int verb_dead(Ctl *c, int argc, char **argv)
{
        const char *command = argc > 1 ? argv[1] : "list";
        bool has_ids = argc > 2, purge = str_equal(command, "purge");

        for (DeliveryState s = 0; s < _DELIVERY_STATE_MAX; s++)
                if (delivery_state_is_dead_letter(s) &&
                                strv_append(&c->states, delivery_state_to_string(s)) < 0)
                        return ctl_fail(EXIT_FAILED, "out of memory");
        if (str_equal(command, "list") && !has_ids)
                return messages_print(c);
        if (str_equal(command, "show") && has_ids && !c->all)
                return verb_show(c, argc - 1, argv + 1);
        if ((purge || str_equal(command, "retry")) && has_ids != c->all)
                return retry_or_purge(c, purge, argv + 2);
        return ctl_fail(EXIT_USAGE,
                        "it is \"dead list\", \"dead show ID…\", \"dead retry ID…\" or \"dead purge ID…\";"
                        " --all instead of ID… to retry or purge all");
}
