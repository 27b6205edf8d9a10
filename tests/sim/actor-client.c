/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client as a process, as client-main.c starts it; its callers take the place of the bus. */

#include <errno.h>
#include <stdlib.h>

#include "sim/caller.h"

typedef struct Root {
        const Actor *actor;
        Client client;
} Root;

static int configure(const Actor *a, ClientConfig *ret)
{
        static const unsigned percent[] = {50, 200, 100};
        const Plan *p = sim.plan;

        client_config_init(ret);
        ret->policy.ack_timeout_usec =
                        MAX(p->ack_timeout_usec * percent[actor_vary(a, 0, 3)] / 100, 100 * USEC_PER_MSEC);
        ret->policy.backoff_usec = p->backoff_usec * percent[actor_vary(a, 1, 3)] / 100;
        ret->policy.backoff_max_usec = p->backoff_max_usec;
        ret->outbox_limit = p->outbox_limit;
        ret->history = actor_vary(a, 2, p->history + 1);
        ret->discovery = actor_discovery(a);
        ret->state_directory = strdup(a->directory);
        return ret->discovery && ret->state_directory ? 0 : -ENOMEM;
}

static void on_reload(void *userdata)
{
        Root *root = userdata;
        ClientConfig fresh;

        if (configure(root->actor, &fresh) >= 0)
                client_reload(&root->client, &fresh);
        client_config_clear(&fresh);
}

static void stop(Root *root)
{
        client_stop(&root->client);
        callers_end(root->actor->callers);
        client_clear(&root->client);
}

static int run(Root *root)
{
        ClientObserver observer = callers_observer;
        Error error = {};
        int r;

        observer.userdata = root->actor->callers;
        r = configure(root->actor, &root->client.config);
        if (r >= 0)
                r = client_start(&root->client, &observer, &error);
        if (r < 0) {
                stop(root);
                return actor_fail("ackgroup-client", r, &error);
        }
        callers_begin(root->actor->callers, &root->client);
        loop_set_reload(root->client.loop, on_reload, root);
        r = loop_run(root->client.loop);
        stop(root);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int client_main(void *actor)
{
        Root *root = calloc(1, sizeof *root);
        int status;

        if (!root)
                return EXIT_FAILURE;
        root->actor = actor;
        status = run(root);
        free(root);
        return status;
}
