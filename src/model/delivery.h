/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The life of one delivery: one message to one receiver. Pure: one table, (state, event) → (state, actions).
 * The client carries out the actions; store/outbox.h says what the states mean on disk. */

#include "base/macro.h"

/* The numbers are in the outbox on disk: never change one. */
typedef enum DeliveryState {
        DELIVERY_QUEUED, /* accepted; no receiver chosen, or no room in its window yet */
        DELIVERY_BOUND,  /* has receiver, stream and sequence; is written when connection and credit allow */
        DELIVERY_SENT,   /* written to a live connection; the ack timer runs */
        DELIVERY_BACKOFF,    /* bound; its next attempt has a time */
        DELIVERY_CANCELLING, /* to be cancelled, but it may have started: the receiver is asked */
        DELIVERY_ACKED,      /* final from here on */
        DELIVERY_REJECTED,
        DELIVERY_CANCELLED,
        DELIVERY_DEAD,      /* given up; can be shown, retried and purged */
        DELIVERY_DELAYED,   /* accepted; its start time has not come */
        DELIVERY_GATHERING, /* a message to several receivers whose members are under way */
        DELIVERY_GIVING_UP, /* out of time or attempts, but it may have started: the receiver is asked */
        _DELIVERY_STATE_MAX,
} DeliveryState;

typedef enum DeliveryEvent {
        DELIVERY_BIND,         /* receiver and sequence are durable */
        DELIVERY_UNBIND,       /* not started there, or that receiver is gone: choose another */
        DELIVERY_WRITE,        /* the frame was queued on a live connection */
        DELIVERY_ANSWER_ACKED, /* answers, one for each Outcome */
        DELIVERY_ANSWER_REJECTED,
        DELIVERY_ANSWER_FAILED,
        DELIVERY_ANSWER_BUSY,
        DELIVERY_ANSWER_WORKING,
        DELIVERY_ANSWER_SETTLED,
        DELIVERY_ANSWER_CONFLICT,
        DELIVERY_ANSWER_CANCELLED,
        DELIVERY_TIMEOUT,       /* the ack timer ran out */
        DELIVERY_DISCONNECT,    /* the connection ended */
        DELIVERY_DUE,           /* the time of the next attempt has come */
        DELIVERY_CANCEL,        /* wanted; it may have started */
        DELIVERY_CANCEL_UNSENT, /* wanted; it was never on the wire, so it has not started */
        DELIVERY_GONE, /* the receiver is gone for good, as far as is known, and may have started the present
                          attempt; a message to several: no member is left */
        DELIVERY_EXHAUSTED,      /* the last allowed attempt failed */
        DELIVERY_GIVE_UP,        /* out of time, or no ack for the last attempt; it may have started */
        DELIVERY_GIVE_UP_UNSENT, /* out of time; it was never on the wire */
        DELIVERY_REVIVE,         /* somebody retries a dead letter */
        DELIVERY_GATHER,         /* a message to several: its members start */
        DELIVERY_GATHERED,       /* a message to several: enough members acked */
        _DELIVERY_EVENT_MAX,
} DeliveryEvent;

typedef enum DeliveryAction {
        DELIVERY_CHARGE = 1 << 0,     /* an attempt ended without an ack: count it, and note why */
        DELIVERY_ARM_ACK = 1 << 1,    /* (re)start the ack timer */
        DELIVERY_ARM_RETRY = 1 << 2,  /* choose the time of the next attempt */
        DELIVERY_SETTLE = 1 << 3,     /* final: commit it; when it is synced, announce it to the receiver */
        DELIVERY_ASK_CANCEL = 1 << 4, /* send CANCEL as soon as there is a connection */
        DELIVERY_DROP_BINDING = 1 << 5, /* settle the sequence at the old receiver, choose a new receiver */
} DeliveryAction;

typedef struct DeliveryStep {
        DeliveryState next;
        unsigned actions;
} DeliveryStep;

/* True if the event means something in that state; *ret is then set. False: nothing changes (a late or
 * repeated answer, a timer that lost a race). */
bool delivery_step(DeliveryState state, DeliveryEvent event, DeliveryStep *ret);

static inline bool delivery_state_is_final(DeliveryState s)
{
        return s >= DELIVERY_ACKED && s <= DELIVERY_DEAD;
}

/* Stays in the outbox until somebody retries or purges it. */
static inline bool delivery_state_is_dead_letter(DeliveryState s)
{
        return s == DELIVERY_REJECTED || s == DELIVERY_DEAD;
}

/* No further attempt is made; the receiver is asked about the last one. */
static inline bool delivery_state_is_ending(DeliveryState s)
{
        return s == DELIVERY_CANCELLING || s == DELIVERY_GIVING_UP;
}

const char *delivery_state_to_string(DeliveryState value);
int delivery_state_from_string(const char *word);
const char *delivery_event_to_string(DeliveryEvent value);
int delivery_event_from_string(const char *word);
