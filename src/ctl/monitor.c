/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "ctl/verb.h"

static void print_event(const Ctl *c, const cJSON *event)
{
        _cleanup_free_ char *time = cell_format(c, cJSON_GetObjectItem(event, "time"), COLUMN_TIME);
        _cleanup_free_ char *id = cell_format(c, cJSON_GetObjectItem(event, "id"), COLUMN_ID);
        _cleanup_free_ char *detail = cell_format(c, cJSON_GetObjectItem(event, "detail"), COLUMN_TEXT);
        _cleanup_free_ char *receiver = cell_format(c, cJSON_GetObjectItem(event, "receiver"), COLUMN_TEXT);
        const char *word = value_string(event, "event");
        double attempt = value_number(event, "attempt");
        Style style = style_of_word(word);

        printf("%s  %s  %s%-12s%s  %s", time ?: "", id ?: "", style_begin(c->out_colour, style), word,
                        style_end(c->out_colour, style), receiver ?: "");
        if (attempt > 0)
                printf("  attempt %.0f", attempt);
        if (detail && !str_equal(detail, "-"))
                printf("  %s", detail);
        putchar('\n');
}

static int show(const Ctl *c, cJSON *event)
{
        cJSON_AddNumberToObject(event, "time", (double) now_usec(CLOCK_REALTIME));
        if (c->json != JSON_OFF)
                value_print(c, event);
        else
                print_event(c, event);
        (void) fflush(stdout);
        cJSON_Delete(event);
        return 0;
}

static int on_message_event(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        const char *id, *word, *receiver, *detail;
        uint32_t attempt;
        cJSON *event;

        if (sd_bus_message_read(signal, "ssuss", &id, &word, &attempt, &receiver, &detail) < 0)
                return 0;
        event = cJSON_CreateObject();
        cJSON_AddStringToObject(event, "id", id);
        cJSON_AddStringToObject(event, "event", word);
        cJSON_AddNumberToObject(event, "attempt", attempt);
        cJSON_AddStringToObject(event, "receiver", receiver);
        cJSON_AddStringToObject(event, "detail", detail);
        return show(userdata, event);
}

static int on_receiver(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        bool added = sd_bus_message_is_signal(signal, NULL, "ReceiverAdded");
        const char *id, *name, *group;
        cJSON *event;

        if (sd_bus_message_read(signal, "sss", &id, &name, &group) < 0)
                return 0;
        event = cJSON_CreateObject();
        cJSON_AddStringToObject(event, "id", id);
        cJSON_AddStringToObject(event, "event", added ? "receiver" : "receiver gone");
        cJSON_AddStringToObject(event, "receiver", name);
        cJSON_AddStringToObject(event, "group", group);
        return show(userdata, event);
}

static int on_bus_lost(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        return sd_event_exit(((Ctl *) userdata)->event,
                        ctl_fail(EXIT_NO_SERVICE, "lost the connection to the bus"));
}

/* If there is no client at the start, monitor ends. If the client leaves later, monitor waits for it. */
static int on_subscribed(sd_bus_message *answer, void *userdata, sd_bus_error *ignored)
{
        const sd_bus_error *error = sd_bus_message_get_error(answer);
        Ctl *c = userdata;

        if (error)
                return sd_event_exit(c->event, bus_explain(c, error));
        if (c->json == JSON_OFF && !c->no_legend)
                fputs("Showing events; Ctrl-C ends it.\n", stderr);
        return 0;
}

int verb_monitor(Ctl *c, int argc, char **argv)
{
        static const struct {
                const char *member;
                sd_bus_message_handler_t handler;
        } signals[] = {
                        {"MessageEvent", on_message_event},
                        {"ReceiverAdded", on_receiver},
                        {"ReceiverRemoved", on_receiver},
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(signals) && r >= 0; i++)
                r = sd_bus_match_signal(c->bus, NULL, BUS_NAME, BUS_PATH, MANAGER_INTERFACE,
                                signals[i].member, signals[i].handler, c);
        if (r >= 0)
                r = sd_bus_match_signal(c->bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                "org.freedesktop.DBus.Local", "Disconnected", on_bus_lost, c);
        if (r >= 0)
                r = bus_subscribe(c, on_subscribed);
        /* Without a handler the signal ends the loop, with EXIT_OK. */
        for (int s = SIGINT; r >= 0 && s != 0; s = s == SIGINT ? SIGTERM : 0)
                r = sd_event_add_signal(
                                c->event, NULL, s | SD_EVENT_SIGNAL_PROCMASK, NULL, (void *) EXIT_OK);
        if (r < 0)
                return ctl_fail(EXIT_FAILED, "cannot listen to the client: %s", strerror(-r));
        return sd_event_loop(c->event);
}
