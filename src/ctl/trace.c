/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/each.h"
#include "ctl/pager.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "model/delivery.h"
#include "model/selector.h"

/* Adds the last attempt of a delivery. The client stores it in the delivery, not in the list of attempts. */
static void add_last(cJSON *attempts, const cJSON *delivery, unsigned member)
{
        const char *word = value_string(delivery, "state");
        double sent = value_number(delivery, "sent"), settled = value_number(delivery, "settled");
        int state = delivery_state_from_string(word);

        if (sent == 0 || (state != DELIVERY_ACKED && state != DELIVERY_SENT))
                return;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "member", member);
        cJSON_AddStringToObject(row, "receiver", value_string(delivery, "receiver"));
        cJSON_AddNumberToObject(row, "attempt", value_number(delivery, "attempts"));
        cJSON_AddNumberToObject(row, "sent", sent);
        cJSON_AddNumberToObject(row, "ended", settled);
        cJSON_AddStringToObject(row, "outcome", word);
        cJSON_AddStringToObject(row, "detail", value_flag(delivery, "reply_cut") ? "the reply is cut" : "");
        cJSON_AddItemToArray(attempts, row);
}

/* When an attempt began. One that was not sent has only an end. */
static double begin_of(const cJSON *row)
{
        double sent = value_number(row, "sent");

        return sent > 0 ? sent : value_number(row, "ended");
}

/* In the order in which they began. */
static int compare(const void *a, const void *b)
{
        const cJSON *x = *(cJSON *const *) a, *y = *(cJSON *const *) b;

        if (begin_of(x) != begin_of(y))
                return begin_of(x) < begin_of(y) ? -1 : 1;
        if (value_number(x, "attempt") != value_number(y, "attempt"))
                return value_number(x, "attempt") < value_number(y, "attempt") ? -1 : 1;
        return value_number(x, "member") < value_number(y, "member") ? -1 : 1;
}

static void add_durations(cJSON *attempts)
{
        cJSON *row;

        cJSON_ArrayForEach(row, attempts) {
                double sent = value_number(row, "sent"), ended = value_number(row, "ended");
                char text[DURATION_MAX];
                bool known = sent > 0 && ended >= sent;

                cJSON_AddStringToObject(
                                row, "took", known ? format_duration(text, (uint64_t) (ended - sent)) : "-");
        }
}

static const Column attempt_columns[] = {
                {"SENT", "sent", COLUMN_TIME, 0, 3},
                {"RECEIVER", "receiver", COLUMN_TEXT, 8},
                {"ATTEMPT", "attempt", COLUMN_NUMBER, 0, 2},
                {"OUTCOME", "outcome", COLUMN_STATE},
                {"TOOK", "took", COLUMN_TEXT, 0, 1},
                {"DETAIL", "detail", COLUMN_TEXT, 12},
                {},
};

static const Column delivery_columns[] = {
                {"RECEIVER", "receiver", COLUMN_TEXT, 8},
                {"STATE", "state", COLUMN_STATE},
                {"ATTEMPTS", "attempts", COLUMN_NUMBER, 0, 2},
                {"SETTLED", "settled", COLUMN_TIME, 0, 1},
                {"NEXT TRY", "next_retry", COLUMN_TIME, 0, 3},
                {"ERROR", "error", COLUMN_TEXT, 12},
                {},
};

static void print_trace(Ctl *c, const char *id, cJSON *deliveries, cJSON *attempts)
{
        if (c->json != JSON_OFF) {
                _cleanup_(cjsonp) cJSON *both = cJSON_CreateObject();
                cJSON_AddStringToObject(both, "id", id);
                cJSON_AddItemReferenceToObject(both, "deliveries", deliveries);
                cJSON_AddItemReferenceToObject(both, "attempts", attempts);
                value_print(c, both);
                return;
        }
        add_durations(attempts);
        table_print(c, attempts, attempt_columns, "attempt");
        putchar('\n');
        table_print(c, deliveries, delivery_columns, "receiver");
}

static int trace(Ctl *c, const char *id, void *userdata)
{
        _cleanup_(cjsonp) cJSON *message = NULL, *attempts = NULL, *deliveries = NULL;
        unsigned member;
        const cJSON *d;
        int r;

        r = query_message(c, id, &message);
        if (r == 0)
                r = query_deliveries(c, id, &deliveries);
        if (r == 0)
                r = query_attempts(c, id, &attempts);
        if (r != 0)
                return r;
        /* In a message to several receivers, members have numbers from 1. */
        member = selector_mode_is_fanout(selector_mode_from_string(value_string(message, "Mode"))) ? 1 : 0;
        cJSON_ArrayForEach(d, deliveries)
                add_last(attempts, d, member++);
        value_sort(attempts, compare);
        pager_open(c);
        print_trace(c, value_string(message, "Id"), deliveries, attempts);
        return EXIT_OK;
}

static int why(Ctl *c, const char *id, void *userdata)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        _cleanup_(cjsonp) cJSON *message = NULL;
        const char *text, *advice;
        int r = bus_call_word(c, "Explain", id, &answer);

        if (r == 0 && c->json != JSON_OFF)
                r = query_message(c, id, &message);
        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "ss", &text, &advice) < 0)
                return bus_bad_answer();
        if (c->json != JSON_OFF) {
                _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();
                cJSON_AddStringToObject(object, "id", value_string(message, "Id"));
                cJSON_AddStringToObject(object, "why", text);
                cJSON_AddStringToObject(object, "advice", advice);
                value_print(c, object);
                return EXIT_OK;
        }
        puts(text);
        if (!str_empty(advice))
                puts(advice);
        return EXIT_OK;
}

int verb_trace(Ctl *c, int argc, char **argv)
{
        return each_word(c, argv + 1, trace, NULL);
}

int verb_why(Ctl *c, int argc, char **argv)
{
        return each_word(c, argv + 1, why, NULL);
}
