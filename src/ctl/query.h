/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Queries to the client. *ret is JSON; the caller frees it with cJSON_Delete(). Each returns 0, or an exit
 * code after printing the reason. */

#include "ctl/value.h"

int query_client(Ctl *c, cJSON **ret);    /* the properties of the client */
int query_receivers(Ctl *c, cJSON **ret); /* the receivers that --group and --label select */
int query_message(Ctl *c, const char *id,
                cJSON **ret); /* its properties; `id` may be the beginning of an id */
int query_deliveries(Ctl *c, const char *id, cJSON **ret); /* of one message: an entry for each receiver */
int query_attempts(Ctl *c, const char *id, cJSON **ret);   /* of one message: the recorded attempts */

/* The replies to a message to several receivers: an array of {receiver, reply, reply_cut}, without empty
 * replies. */
int query_replies(Ctl *c, const char *id, cJSON **ret);

/* The newest messages in the states that --state names, at most `wanted`. *ret_more: there are older ones.
 */
int query_messages(Ctl *c, unsigned wanted, cJSON **ret, bool *ret_more);

/* RetryMany or PurgeMany: one page of the messages in these states, from `after` on ("": the first page).
 * *ret_next is malloc'ed; "": this was the last page; NULL: the client is older, and has no pages. */
int query_many(Ctl *c, const char *method, const char *after, uint32_t *ret_done, char **ret_next);
