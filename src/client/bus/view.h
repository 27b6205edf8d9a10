/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a message looks on D-Bus. Instants are in usec since 1970; 0: not yet. */

#include "client/bus/bus.h"
#include "client/state/message.h"

const char *message_path(const Message *m, char buffer[static MESSAGE_PATH_MAX]);
const char *message_id(const Message *m, char buffer[static SD_ID128_UUID_STRING_MAX]);
uint64_t message_next_retry(const Message *m);         /* 0: none is planned */
uint32_t message_attempts(const OutboxRecord *record); /* counts the one that is on its way */
const char *message_problem(const Message *m);         /* why it is not done yet, as far as known; "" */

/* An entry of ListMessages, "(sssssuttts)". `m` may be NULL: the message is on disk only. */
int view_append_message(sd_bus_message *reply, const OutboxRecord *record, const Message *m);
/* An entry of ListDeliveries, "(sssutttsay)". */
int view_append_delivery(sd_bus_message *reply, const OutboxRecord *record, const Message *m);
