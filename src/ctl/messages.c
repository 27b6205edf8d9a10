/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/messages.h"

#include <stdio.h>

#include "ctl/bus.h"
#include "ctl/each.h"
#include "ctl/pager.h"
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
        pager_open(c);
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

static int show(Ctl *c, const char *id, void *userdata)
{
        _cleanup_(cjsonp) cJSON *properties = NULL;
        bool *printed = userdata;
        int r = query_message(c, id, &properties);

        if (r != 0)
                return r;
        pager_open(c);
        if (*printed && c->json == JSON_OFF)
                putchar('\n');
        *printed = true;
        lines_print(c, properties, message_lines);
        return EXIT_OK;
}

int verb_show(Ctl *c, int argc, char **argv)
{
        return each_word(c, argv + 1, show, &(bool){false});
}

int messages_call(Ctl *c, const char *id, void *userdata)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        MessageCall *call = userdata;
        int r = bus_call_word(c, call->method, id, &answer);

        call->done += r == 0;
        return r;
}

int verb_cancel(Ctl *c, int argc, char **argv)
{
        return each_word(c, argv + 1, messages_call, &(MessageCall){"Cancel"});
}
