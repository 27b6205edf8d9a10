/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything that a peer or a person controls has a limit. "DEFAULT" ones can be configured, the others
 * cannot. */

#include "base/time-util.h"

#define NAME_MAX_LENGTH    64u  /* names of receivers and groups, label keys and values */
#define LABELS_MAX         16u  /* labels of one receiver */
#define ADDRESSES_MAX      8u   /* addresses of one receiver */
#define ADDRESS_MAX_LENGTH 300u /* one address as text */

#define PAYLOAD_MAX         (16u << 20) /* bytes of one message, whatever is configured */
#define PAYLOAD_DEFAULT_MAX (1u << 20)
#define REPLY_MAX           (64u << 10) /* bytes of one reply; a handler's longer output is cut */
#define ATTRIBUTES_MAX      (8u << 10)  /* bytes of attributes in one MESSAGE frame */
#define ERROR_TEXT_MAX      512u        /* bytes of one error text kept or sent */

#define STREAM_WINDOW           1024u /* unsettled sequences of one (stream, receiver) above the low mark */
#define RECEIVER_STREAMS_MAX    4096u /* streams one receiver remembers */
#define CONNECTIONS_DEFAULT_MAX 1024u /* of one receiver */

#define OUTBOX_DEFAULT_MAX  1000000u /* messages accepted and not settled */
#define HISTORY_DEFAULT_MAX 1000u    /* acked and cancelled messages that can still be looked at */

#define LEASE_DEFAULT_USEC  (30 * USEC_PER_SEC)
#define ACK_TIMEOUT_DEFAULT (5 * USEC_PER_SEC)
#define WORKING_INTERVAL_USEC                                                                               \
        (2 * USEC_PER_SEC) /* a receiver says "working" this often while a handler runs */

#define DISCOVERY_DEFAULT_PORT 7480
