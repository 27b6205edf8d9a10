/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/messages.h"

#include <stdio.h>

#include "ctl/bus.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/table.h"
#include "ctl/verb.h"

#define LIMIT_DEFAULT 100u

static const Column message_columns[] = {
                {"ID", "id", COLUMN_ID},
                {"STATE", "state", COLUMN_STATE},
                {"MODE", "mode", COLUMN_TEXT, 0, 1},
                {"TARGET", "target", COLUMN_TEXT, 8, 3},
                {"RECEIVER", "receiver", COLUMN_TEXT, 8, 6},
                {"ATTEMPTS", "attempts", COLUMN_NUMBER, 0, 4},
                {"SIZE", "size", COLUMN_SIZE, 0, 2},
                {"ACCEPTED", "accepted", COLUMN_TIME, 0, 5},
                {"ERROR", "error", COLUMN_TEXT, 12},
                {},
};

int messages_print(Ctl *c)
{
        _cleanup_(cjsonp) cJSON *all = NULL;
        bool more;
        int r = query_messages(c,
                        c->all         ? UINT32_MAX
                        : c->limit > 0 ? c->limit
                                       : LIMIT_DEFAULT,
                        &all, &more);

        if (r != 0)
                return r;
        table_print(c, all, message_columns, "message");
        if (more && c->json == JSON_OFF && !c->no_legend)
                puts("There are older ones: --all shows them.");
        return EXIT_OK;
}

int verb_messages(Ctl *c, int argc, char **argv)
{
        if (c->all && c->limit > 0)
                return ctl_fail(EXIT_USAGE, "--all and --limit exclude each other");
        return messages_print(c);
}

static const Column message_lines[] = {
                {"Message", "Id", COLUMN_TEXT},
                {"State", "State", COLUMN_STATE},
                {"Mode", "Mode", COLUMN_TEXT},
                {"Target", "Target", COLUMN_TEXT},
                {"Receiver", "ReceiverName", COLUMN_TEXT},
                {"Receiver id", "Receiver", COLUMN_TEXT},
                {"Attempts", "Attempts", COLUMN_NUMBER},
                {"Accepted", "Accepted", COLUMN_TIME},
                {"Next retry", "NextRetry", COLUMN_TIME},
                {"Settled", "Settled", COLUMN_TIME},
                {"Progress", "Progress", COLUMN_TEXT},
                {"Last error", "LastError", COLUMN_TEXT},
                {"Size", "Size", COLUMN_SIZE},
                {"Starts", "Start", COLUMN_TIME},
                {"Deadline", "Deadline", COLUMN_TIME},
                {"Priority", "Priority", COLUMN_NUMBER},
                {"Guarantee", "Guarantee", COLUMN_TEXT},
                {"Reply", "Reply", COLUMN_TEXT},
                {"Reply cut", "ReplyCut", COLUMN_FLAG},
                {},
};

int verb_show(Ctl *c, int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                _cleanup_(cjsonp) cJSON *properties = NULL;
                int r = query_message(c, argv[i], &properties);

                if (r != 0)
                        return r;
                if (i > 1 && c->json == JSON_OFF)
                        putchar('\n');
                lines_print(c, properties, message_lines);
        }
        return EXIT_OK;
}

int messages_call_each(Ctl *c, const char *method, const char *const *ids, unsigned *ret_done)
{
        int code = EXIT_OK;
        unsigned done = 0;

        for (size_t i = 0; ids[i] && !c->hopeless; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
                int r = bus_call_word(c, method, ids[i], &answer);

                if (r == 0)
                        done++;
                else
                        code = r;
        }
        if (ret_done)
                *ret_done = done;
        return code;
}

int verb_cancel(Ctl *c, int argc, char **argv)
{
        return messages_call_each(c, "Cancel", (const char *const *) argv + 1, NULL);
}
