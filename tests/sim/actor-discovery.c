/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Discovery as a process, as discovery-main.c starts it. */

#include <errno.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "discovery/discovery.h"
#include "sim/actor.h"

typedef struct Root {
        const Actor *actor;
        DiscoveryConfig config;
        Discovery *discovery;
} Root;

static int configure(const Actor *a, DiscoveryConfig *ret)
{
        static const unsigned lease_percent[] = {50, 200, 100};
        int r;

        *ret = (DiscoveryConfig){
                        .allow_tcp = true,
                        .allow_insecure = true,
                        .lease_usec = MAX(sim.plan->lease_usec * lease_percent[actor_vary(a, 0, 3)] / 100,
                                        LEASE_MIN_USEC),
                        .connections_per_address = 512,
                        .state_directory = strdup(a->directory),
        };
        r = ret->state_directory ? strv_append(&ret->listen, a->socket) : -ENOMEM;
        return r >= 0 ? strv_append(&ret->listen, a->tcp) : r;
}

static void clear(DiscoveryConfig *config)
{
        strv_free(config->listen);
        free(config->state_directory);
}

static void on_reload(void *userdata)
{
        Root *root = userdata;
        DiscoveryConfig fresh;

        if (configure(root->actor, &fresh) >= 0)
                discovery_reload(root->discovery, &fresh);
        clear(&fresh);
}

static int run(Root *root)
{
        Error error = {};
        int r;

        r = configure(root->actor, &root->config);
        if (r >= 0)
                r = discovery_new(&root->config, &root->discovery, &error);
        if (r < 0)
                return actor_fail("ackgroup-discovery", r, &error);
        loop_set_reload(root->discovery->loop, on_reload, root);
        r = loop_run(root->discovery->loop);
        discovery_free(root->discovery);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int discovery_main(void *actor)
{
        Root root = {.actor = actor};
        int status = run(&root);

        clear(&root.config);
        return status;
}
