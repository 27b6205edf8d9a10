/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the configuration says about the client. A plain struct: a reload fills a fresh one and hands it to
 * client_reload(). */

#include "model/policy.h"

/* Filled in by the configuration, and by a reload. */
typedef struct ClientConfig {
        char *discovery;        /* URL; NULL: the socket in the runtime directory */
        char *state_directory;  /* NULL: the default one */
        char *log_level;        /* NULL: the default one */
        Policy policy;          /* fills in what a sender left open */
        uint64_t deadline_usec; /* from acceptance on; USEC_INFINITY: none */
        uint64_t max_payload;   /* bytes of one message */
        unsigned outbox_limit;  /* messages: open ones and dead letters */
        unsigned history;       /* acked messages that are kept, and as many cancelled ones */
} ClientConfig;

void client_config_init(ClientConfig *config);  /* the defaults; nothing is allocated */
void client_config_clear(ClientConfig *config); /* frees its strings and zeroes it */
