/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Queues by selector. Which messages a queue has is engine/backlog's part. */

#include "client/state/types.h"

/* Finds it or makes it. When another one is made and there are many, unused ones are freed. 0, -EINVAL (not
 * the text of a selector), -ENOMEM. */
int queue_get(Client *c, const char *text, Queue **ret);
Queue *queue_of_receiver(Client *c, sd_id128_t receiver); /* of the messages for it alone; or NULL */
void queues_clear(Client *c);
