/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything that a peer or a person controls has a limit. Those named DEFAULT can be configured. */

#include "base/time-util.h"

#define DESCRIPTORS_KEPT   32u  /* that a client does not use for connections to receivers */
#define NAME_MAX_LENGTH    64u  /* names of receivers and groups, label keys and values */
#define LABELS_MAX         16u  /* labels of one receiver */
#define ADDRESSES_MAX      8u   /* addresses of one receiver */
#define ADDRESS_MAX_LENGTH 300u /* one address as text */

#define PAYLOAD_MAX         (16u << 20) /* bytes of one message, whatever is configured */
#define PAYLOAD_DEFAULT_MAX (1u << 20)
#define REPLY_MAX           (64u << 10) /* bytes of one reply, whatever is configured */
#define ATTRIBUTES_MAX      (8u << 10)  /* bytes of attributes in one MESSAGE frame */
/* What a handler may ask for; 32 bits of milliseconds end soon after that. */
#define RETRY_DELAY_MAX_USEC (49 * 24 * 3600 * (uint64_t) 1000000)
#define RETRY_DELAY_MAX_TEXT "49d"
#define ERROR_TEXT_MAX       512u /* bytes of one error text kept or sent */

#define STREAM_WINDOW           1024u /* sequences of one stream above the low mark */
#define RECEIVER_STREAMS_MAX    4096u /* streams that one receiver remembers */
#define CONNECTIONS_DEFAULT_MAX 1024u /* of one receiver */
#define STREAM_SILENT_USEC                                                                                  \
        (24 * 3600 * USEC_PER_SEC) /* after so much silence a receiver may forget a stream to make room */

#define MEMORY_BYTES_MAX ((size_t) 64 << 20) /* payloads of all messages that are in memory only */
#define INSERTING_BYTES_MAX                                                                                 \
        ((size_t) 16 << 20) /* payloads on their way to the disk; with more the client reads from no        \
                               program */

#define OUTBOX_DEFAULT_MAX  1000000u /* messages that are accepted and not settled */
#define HISTORY_DEFAULT_MAX 1000u    /* acked and cancelled messages that are kept */

#define DEPARTED_MAX 256u /* receivers that left and whose streams a client remembers */

#define ATTEMPTS_KEPT  64u                   /* attempts of one delivery that are shown */
#define MEMBERS_MAX    1024u                 /* receivers of one message */
#define KEY_MAX_LENGTH 200u                  /* bytes of an ordering key or an idempotency key */
#define KEYS_KEPT_USEC (3600 * USEC_PER_SEC) /* how long an idempotency key is known, at least */

#define KEYS_KEPT_MAX 1000000u /* but it is forgotten when so many messages have followed */

#define LEASE_DEFAULT_USEC  (30 * USEC_PER_SEC)
#define LEASE_MIN_USEC      USEC_PER_SEC
#define ACK_TIMEOUT_DEFAULT (5 * USEC_PER_SEC)
#define ACCEPTED_SILENCE_USEC                                                                               \
        (15 * USEC_PER_SEC) /* the accepting side closes when the peer's host does not answer for so long   \
                             */
#define WORKING_INTERVAL_USEC                                                                               \
        (2 * USEC_PER_SEC) /* how often a receiver sends "working" while a handler runs */

#define DISCOVERY_DEFAULT_PORT 7480
