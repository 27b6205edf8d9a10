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
#define STREAM_SILENT_USEC                                                                                  \
        (24 * 3600 * USEC_PER_SEC) /* a sender that is silent for so long may be forgotten for a new one */

#define MEMORY_BYTES_MAX ((size_t) 64 << 20) /* payloads of messages that are not on disk */
#define INSERTING_BYTES_MAX                                                                                 \
        ((size_t) 16 << 20) /* payloads on their way to the disk, from where no program is read */

#define OUTBOX_DEFAULT_MAX  1000000u /* messages accepted and not settled */
#define HISTORY_DEFAULT_MAX 1000u    /* acked and cancelled messages that can still be looked at */

#define DEPARTED_MAX 256u /* receivers that have left and whose streams a client still remembers */

#define ATTEMPTS_KEPT  64u   /* tries of one delivery that are told of */
#define MEMBERS_MAX    1024u /* receivers of one message */
#define KEY_MAX_LENGTH 200u  /* bytes of a key of order, or of a sender's own name for a message */
#define KEYS_KEPT_USEC                                                                                      \
        (3600 * USEC_PER_SEC) /* a sender's own name for a message is known for at least so long */

#define KEYS_KEPT_MAX 1000000u /* but not behind so many later messages */

#define LEASE_DEFAULT_USEC  (30 * USEC_PER_SEC)
#define LEASE_MIN_USEC      USEC_PER_SEC
#define ACK_TIMEOUT_DEFAULT (5 * USEC_PER_SEC)
#define ACCEPTED_SILENCE_USEC                                                                               \
        (15 * USEC_PER_SEC) /* a peer whose host does not answer is given up by who accepted it */
#define WORKING_INTERVAL_USEC                                                                               \
        (2 * USEC_PER_SEC) /* a receiver says "working" this often while a handler runs */

#define DISCOVERY_DEFAULT_PORT 7480
