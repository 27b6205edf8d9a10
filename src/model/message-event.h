/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What happens to a message, in public words: in the signal MessageEvent, in the journal, and as the outcome
 * of an attempt. Never change a word. When a message reaches a state, the event has the name of that state.
 */

#include "base/macro.h"

typedef enum MessageEvent {
        EVENT_ACCEPTED,
        EVENT_QUEUED, /* the choice of receiver was undone; the client looks for another */
        EVENT_BOUND,
        EVENT_SENT,
        EVENT_WORKING,
        EVENT_NO_ACK,
        EVENT_FAILED,
        EVENT_BUSY,
        EVENT_DISCONNECTED,
        EVENT_WAITING, /* for the time of its next attempt */
        EVENT_DELAYED,
        EVENT_GATHERING,
        EVENT_CANCELLING,
        EVENT_GIVING_UP,
        EVENT_ACKED,
        EVENT_REJECTED,
        EVENT_CANCELLED,
        EVENT_DEAD,
        EVENT_MEMBER_ACKED, /* of one receiver of a message to several */
        EVENT_MEMBER_REJECTED,
        EVENT_MEMBER_CANCELLED,
        EVENT_MEMBER_DEAD,
        EVENT_CONFLICT, /* only outcomes of attempts, from here on */
        EVENT_MOVED,
        _MESSAGE_EVENT_MAX,
} MessageEvent;

const char *message_event_to_string(MessageEvent value);
int message_event_from_string(const char *word); /* the event, or -EINVAL */

/* True: the message has ended. False also for the end of one member of a message to several. */
static inline bool message_event_is_final(MessageEvent e)
{
        return e >= EVENT_ACKED && e <= EVENT_DEAD;
}
