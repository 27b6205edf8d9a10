/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions to the client, answered as JSON. Each returns 0, or an exit code after telling why. */

#include "ctl/value.h"

int query_client(Ctl *c, cJSON **ret);                     /* the properties of the client */
int query_receivers(Ctl *c, cJSON **ret);                  /* those that --group and --label select */
int query_message(Ctl *c, const char *id, cJSON **ret);    /* its properties; `id` may be cut */
int query_deliveries(Ctl *c, const char *id, cJSON **ret); /* of one message, one for each receiver */
int query_attempts(Ctl *c, const char *id, cJSON **ret);   /* of one message, those that are recorded */

/* What the receivers of a message to several replied: an array of {receiver, reply}, without empty replies.
 */
int query_replies(Ctl *c, const char *id, cJSON **ret);

/* The newest messages, `wanted` at most, in the states that --state names. *ret_more: there are older ones.
 */
int query_messages(Ctl *c, unsigned wanted, cJSON **ret, bool *ret_more);
