/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A receiver as a process, as receiver-main.c starts it. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "receiver/receiver.h"
#include "sim/actor.h"
#include "sim/handler.h"

typedef struct Root {
        const Actor *actor;
        ReceiverConfig config;
        Receiver *receiver;
} Root;

/* A reload never allows more than the plan. */
static void configure_numbers(const Actor *a, ReceiverConfig *ret)
{
        const Plan *p = sim.plan;

        *ret = (ReceiverConfig){
                        .concurrency = actor_vary(a, 0, p->concurrency[a->number]) + 1,
                        .queue = actor_vary(a, 1, p->queue[a->number] + 1),
                        .allow_insecure = true,
                        .handler_timeout_usec = p->handler_timeout_usec,
                        .stop_timeout_usec = p->stop_timeout_usec / (2 - actor_vary(a, 2, 2)),
                        .max_payload = PAYLOAD_DEFAULT_MAX,
                        .max_reply = REPLY_KEPT,
        };
}

static int configure(const Actor *a, ReceiverConfig *ret)
{
        char name[PROCESS_NAME_MAX], group_name[16];
        const char *const words[] = {"handler", name};
        int r = 0;

        configure_numbers(a, ret);
        (void) snprintf(name, sizeof name, "r%u", a->number);
        (void) snprintf(group_name, sizeof group_name, "g%u", sim.plan->group_of_receiver[a->number]);
        ret->instance = strdup(name);
        ret->name = strdup(name);
        ret->group = strdup(group_name);
        ret->discovery = actor_discovery(a);
        ret->state_directory = strdup(a->directory);
        if (!ret->instance || !ret->name || !ret->group || !ret->discovery || !ret->state_directory)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(words) && r >= 0; i++)
                r = strv_append(&ret->command, words[i]);
        if (r >= 0)
                r = strv_append(&ret->listen, a->socket);
        if (r >= 0)
                r = strv_append(&ret->listen, a->tcp);
        return r;
}

static void clear(ReceiverConfig *c)
{
        free(c->instance);
        free(c->name);
        free(c->group);
        free(c->discovery);
        free(c->state_directory);
        strv_free(c->listen);
        strv_free(c->command);
}

static void on_reload(void *userdata)
{
        Root *root = userdata;
        ReceiverConfig fresh;
        Error error = {};

        if (configure(root->actor, &fresh) >= 0)
                (void) receiver_reload(root->receiver, &fresh, &error);
        clear(&fresh);
}

static int run(Root *root)
{
        Error error = {};
        int r;

        r = configure(root->actor, &root->config);
        if (r >= 0)
                r = receiver_new(&root->config, &root->receiver, &error);
        if (r < 0)
                return actor_fail("ackgroup-receiver", r, &error);
        loop_set_reload(root->receiver->loop, on_reload, root);
        r = loop_run(root->receiver->loop);
        receiver_free(root->receiver);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int receiver_main(void *actor)
{
        Root root = {.actor = actor};
        int status = run(&root);

        clear(&root.config);
        return status;
}
