/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration of the client. A reload fills a new struct and passes it to client_reload(). */

#include "model/policy.h"

/* Filled in by the configuration, and by a reload. */
typedef struct ClientConfig {
        char *discovery;        /* URL; NULL: the socket in the runtime directory */
        char *state_directory;  /* NULL: the default directory */
        char *log_level;        /* NULL: the default level */
        char *host_name;        /* of this host, in the names of receivers; NULL: its own */
        Policy policy;          /* defaults for settings that a sender left out */
        uint64_t deadline_usec; /* after acceptance; USEC_INFINITY: none */
        uint64_t max_payload;   /* bytes per message */
        unsigned outbox_limit;  /* messages: open ones and dead letters */
        unsigned history;       /* acked messages to keep, and as many cancelled ones */
} ClientConfig;

void client_config_init(ClientConfig *config);  /* the defaults; nothing is allocated */
void client_config_clear(ClientConfig *config); /* frees its strings and zeroes it */
