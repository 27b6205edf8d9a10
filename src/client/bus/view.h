/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The D-Bus form of a message. Times are in µs since 1970; 0: not yet. */

#include "client/bus/bus.h"
#include "client/state/message.h"

const char *message_path(const Message *m, char buffer[static MESSAGE_PATH_MAX]);
const char *message_id(const Message *m, char buffer[static SD_ID128_UUID_STRING_MAX]);
uint64_t message_next_retry(const Message *m);         /* 0: no retry is planned */
uint32_t message_attempts(const OutboxRecord *record); /* includes the attempt that is in progress */
const char *message_problem(const Message *m);         /* why it is not done yet; "": not known */

/* Appends an entry of ListMessages, "(sssssuttts)". NULL as `m`: the message is on disk only. */
int view_append_message(sd_bus_message *reply, const OutboxRecord *record, const Message *m);
/* Appends an entry of ListDeliveries, "(sssutttsay)". NULL as `m`: the message is on disk only. */
int view_append_delivery(sd_bus_message *reply, const OutboxRecord *record, const Message *m);
/* The same as "a{sv}", an entry of DescribeDeliveries. */
int view_describe_delivery(sd_bus_message *reply, const OutboxRecord *record, const Message *m);
/* Appends the end of a message, the "a{sv}" of WaitForEnd. */
int view_append_end(sd_bus_message *reply, const OutboxRecord *record);
