/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The life of one delivery: one message to one receiver. Pure: (state, event) → (state, actions), one table.
 * What the actions mean is done by the client; what the states mean on disk stands in store/outbox. */

#include "base/macro.h"

/* The numbers are in the outbox on disk: never change one. */
typedef enum DeliveryState {
        DELIVERY_QUEUED, /* accepted; no receiver chosen, or no place in its window yet */
        DELIVERY_BOUND,  /* has receiver, stream and sequence; to be written as soon as connection and credit
                            allow */
        DELIVERY_SENT,   /* on a live connection; the ack timer runs */
        DELIVERY_BACKOFF,    /* bound; its next try has a time */
        DELIVERY_CANCELLING, /* cancel wanted, but it may have started: the receiver is being asked */
        DELIVERY_ACKED,      /* final from here on */
        DELIVERY_REJECTED,
        DELIVERY_CANCELLED,
        DELIVERY_DEAD,      /* given up; can be looked at, retried and purged */
        DELIVERY_DELAYED,   /* accepted; its time has not come */
        DELIVERY_GATHERING, /* the whole of a message to several: its members are under way */
        DELIVERY_GIVING_UP, /* out of time or attempts, but it may have started: the receiver is being asked
                             */
        _DELIVERY_STATE_MAX,
} DeliveryState;

typedef enum DeliveryEvent {
        DELIVERY_BIND,         /* receiver and sequence are durable */
        DELIVERY_UNBIND,       /* not started there, or that receiver is gone: take another */
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
        DELIVERY_DUE,           /* the retry time has come */
        DELIVERY_CANCEL,        /* asked for; it may have started */
        DELIVERY_CANCEL_UNSENT, /* asked for; it was never on the wire, so it has not started */
        DELIVERY_GONE, /* the receiver is gone for good, as far as can be known; of a whole: no member is
                          left */
        DELIVERY_EXHAUSTED,      /* the last attempt that was allowed has failed */
        DELIVERY_GIVE_UP,        /* out of time, or the last attempt was not acked; it may have started */
        DELIVERY_GIVE_UP_UNSENT, /* out of time; it was never on the wire */
        DELIVERY_REVIVE,         /* a dead letter is tried again */
        DELIVERY_GATHER,         /* of a whole: its members are let go */
        DELIVERY_GATHERED,       /* of a whole: enough members have acked */
        _DELIVERY_EVENT_MAX,
} DeliveryEvent;

typedef enum DeliveryAction {
        DELIVERY_CHARGE = 1 << 0,       /* an attempt is over without an ack: count it and note why */
        DELIVERY_ARM_ACK = 1 << 1,      /* (re)start the ack timer */
        DELIVERY_ARM_RETRY = 1 << 2,    /* choose the time of the next try */
        DELIVERY_SETTLE = 1 << 3,       /* final: commit it; once synced, announce it to the receiver */
        DELIVERY_ASK_CANCEL = 1 << 4,   /* send CANCEL as soon as there is a connection */
        DELIVERY_DROP_BINDING = 1 << 5, /* settle the sequence at the old receiver, look for a new one */
} DeliveryAction;

typedef struct DeliveryStep {
        DeliveryState next;
        unsigned actions;
} DeliveryStep;

/* True and *ret when the event means something in that state; else false: nothing changes (a late or
 * repeated answer, a timer that lost a race). */
bool delivery_step(DeliveryState state, DeliveryEvent event, DeliveryStep *ret);

static inline bool delivery_state_is_final(DeliveryState s)
{
        return s >= DELIVERY_ACKED && s <= DELIVERY_DEAD;
}

/* Kept until somebody decides. */
static inline bool delivery_state_is_dead_letter(DeliveryState s)
{
        return s == DELIVERY_REJECTED || s == DELIVERY_DEAD;
}

/* No further try is made; the receiver is being asked what became of the last one. */
static inline bool delivery_state_is_ending(DeliveryState s)
{
        return s == DELIVERY_CANCELLING || s == DELIVERY_GIVING_UP;
}

const char *delivery_state_to_string(DeliveryState value);
int delivery_state_from_string(const char *word);
const char *delivery_event_to_string(DeliveryEvent value);
int delivery_event_from_string(const char *word);
