/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/config.h"

#include <stdlib.h>

#include "model/limits.h"

void client_config_init(ClientConfig *config)
{
        *config = (ClientConfig){
                        .policy =
                                        {
                                                        .ack_timeout_usec = ACK_TIMEOUT_DEFAULT,
                                                        .backoff_usec = USEC_PER_SEC / 2,
                                                        .backoff_max_usec = 30 * USEC_PER_SEC,
                                        },
                        .deadline_usec = USEC_INFINITY,
                        .max_payload = PAYLOAD_DEFAULT_MAX,
                        .outbox_limit = OUTBOX_DEFAULT_MAX,
                        .history = HISTORY_DEFAULT_MAX,
        };
}

void client_config_clear(ClientConfig *config)
{
        free(config->discovery);
        free(config->state_directory);
        free(config->log_level);
        free(config->host_name);
        *config = (ClientConfig){};
}
