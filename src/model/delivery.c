/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/delivery.h"

#include "base/string-table.h"

static const char *const state_names[_DELIVERY_STATE_MAX] = {
                [DELIVERY_QUEUED] = "queued",
                [DELIVERY_BOUND] = "bound",
                [DELIVERY_SENT] = "sent",
                [DELIVERY_BACKOFF] = "waiting",
                [DELIVERY_CANCELLING] = "cancelling",
                [DELIVERY_ACKED] = "acked",
                [DELIVERY_REJECTED] = "rejected",
                [DELIVERY_CANCELLED] = "cancelled",
                [DELIVERY_DEAD] = "dead",
                [DELIVERY_DELAYED] = "delayed",
                [DELIVERY_GATHERING] = "gathering",
                [DELIVERY_GIVING_UP] = "giving-up",
};
DEFINE_STRING_TABLE(delivery_state, DeliveryState, state_names)

static const char *const event_names[_DELIVERY_EVENT_MAX] = {
                [DELIVERY_BIND] = "bind",
                [DELIVERY_UNBIND] = "unbind",
                [DELIVERY_WRITE] = "write",
                [DELIVERY_ANSWER_ACKED] = "answer-acked",
                [DELIVERY_ANSWER_REJECTED] = "answer-rejected",
                [DELIVERY_ANSWER_FAILED] = "answer-failed",
                [DELIVERY_ANSWER_BUSY] = "answer-busy",
                [DELIVERY_ANSWER_WORKING] = "answer-working",
                [DELIVERY_ANSWER_SETTLED] = "answer-settled",
                [DELIVERY_ANSWER_CONFLICT] = "answer-conflict",
                [DELIVERY_ANSWER_CANCELLED] = "answer-cancelled",
                [DELIVERY_TIMEOUT] = "timeout",
                [DELIVERY_DISCONNECT] = "disconnect",
                [DELIVERY_DUE] = "due",
                [DELIVERY_CANCEL] = "cancel",
                [DELIVERY_CANCEL_UNSENT] = "cancel-unsent",
                [DELIVERY_GONE] = "gone",
                [DELIVERY_EXHAUSTED] = "exhausted",
                [DELIVERY_GIVE_UP] = "give-up",
                [DELIVERY_GIVE_UP_UNSENT] = "give-up-unsent",
                [DELIVERY_REVIVE] = "revive",
                [DELIVERY_GATHER] = "gather",
                [DELIVERY_GATHERED] = "gathered",
};
DEFINE_STRING_TABLE(delivery_event, DeliveryEvent, event_names)

typedef struct Cell {
        bool known;
        DeliveryStep step;
} Cell;

/* A cell that is not listed has no `known`: the event means nothing there. tests/model uses this table. */
#define ON(state, event, next, actions)                                                                     \
        [DELIVERY_##state][DELIVERY_##event] = {true, {DELIVERY_##next, actions}}

static const Cell table[_DELIVERY_STATE_MAX][_DELIVERY_EVENT_MAX] = {
                /* No receiver knows of it. */
                ON(DELAYED, DUE, QUEUED, 0),
                ON(DELAYED, GATHER, GATHERING, 0),
                ON(DELAYED, CANCEL_UNSENT, CANCELLED, DELIVERY_SETTLE),
                ON(DELAYED, GIVE_UP_UNSENT, DEAD, DELIVERY_SETTLE),

                ON(QUEUED, BIND, BOUND, 0),
                ON(QUEUED, CANCEL_UNSENT, CANCELLED, DELIVERY_SETTLE),
                ON(QUEUED, GIVE_UP_UNSENT, DEAD, DELIVERY_SETTLE),
                /* It may have run at a receiver that is gone: nobody can be asked. */
                ON(QUEUED, CANCEL, CANCELLED, DELIVERY_SETTLE),
                ON(QUEUED, GIVE_UP, DEAD, DELIVERY_SETTLE),

                /* Every bound state takes answers: the answer to an earlier attempt may come while the next
                   one waits. */
                ON(BOUND, ANSWER_ACKED, ACKED, DELIVERY_SETTLE),
                ON(BOUND, ANSWER_REJECTED, REJECTED, DELIVERY_SETTLE),
                ON(BOUND, ANSWER_SETTLED, ACKED, DELIVERY_SETTLE),
                ON(BOUND, ANSWER_CANCELLED, CANCELLED, DELIVERY_SETTLE),
                ON(BOUND, ANSWER_CONFLICT, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                ON(BOUND, WRITE, SENT, DELIVERY_ARM_ACK),
                ON(BOUND, UNBIND, QUEUED, DELIVERY_DROP_BINDING),
                /* Perhaps it was the message that killed it: without the charge it would go on to the next.
                 */
                ON(BOUND, GONE, QUEUED, DELIVERY_CHARGE | DELIVERY_DROP_BINDING),
                ON(BOUND, ANSWER_FAILED, BACKOFF, DELIVERY_CHARGE | DELIVERY_ARM_RETRY),
                ON(BOUND, EXHAUSTED, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                ON(BOUND, CANCEL_UNSENT, CANCELLED, DELIVERY_SETTLE),
                ON(BOUND, CANCEL, CANCELLING, DELIVERY_ASK_CANCEL),
                ON(BOUND, GIVE_UP_UNSENT, DEAD, DELIVERY_SETTLE),
                ON(BOUND, GIVE_UP, GIVING_UP, DELIVERY_ASK_CANCEL),

                ON(SENT, ANSWER_ACKED, ACKED, DELIVERY_SETTLE),
                ON(SENT, ANSWER_REJECTED, REJECTED, DELIVERY_SETTLE),
                ON(SENT, ANSWER_SETTLED, ACKED, DELIVERY_SETTLE),
                ON(SENT, ANSWER_CANCELLED, CANCELLED, DELIVERY_SETTLE),
                ON(SENT, ANSWER_CONFLICT, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                ON(SENT, ANSWER_FAILED, BACKOFF, DELIVERY_CHARGE | DELIVERY_ARM_RETRY),
                /* Its receiver gets nothing for a while, neither this message nor another one. */
                ON(SENT, ANSWER_BUSY, BOUND, 0),
                ON(SENT, ANSWER_WORKING, SENT, DELIVERY_ARM_ACK),
                ON(SENT, TIMEOUT, BACKOFF, DELIVERY_CHARGE | DELIVERY_ARM_RETRY),
                /* Not counted as an attempt: the next connection shows whether it started. */
                ON(SENT, DISCONNECT, BOUND, 0),
                ON(SENT, EXHAUSTED, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                ON(SENT, CANCEL, CANCELLING, DELIVERY_ASK_CANCEL),
                ON(SENT, GIVE_UP, GIVING_UP, DELIVERY_CHARGE | DELIVERY_ASK_CANCEL),

                ON(BACKOFF, ANSWER_ACKED, ACKED, DELIVERY_SETTLE),
                ON(BACKOFF, ANSWER_REJECTED, REJECTED, DELIVERY_SETTLE),
                ON(BACKOFF, ANSWER_SETTLED, ACKED, DELIVERY_SETTLE),
                ON(BACKOFF, ANSWER_CANCELLED, CANCELLED, DELIVERY_SETTLE),
                ON(BACKOFF, ANSWER_CONFLICT, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                ON(BACKOFF, DUE, BOUND, 0),
                ON(BACKOFF, UNBIND, QUEUED, DELIVERY_DROP_BINDING),
                /* The handler still runs: no need to send again. */
                ON(BACKOFF, ANSWER_WORKING, SENT, DELIVERY_ARM_ACK),
                ON(BACKOFF, CANCEL_UNSENT, CANCELLED, DELIVERY_SETTLE),
                ON(BACKOFF, CANCEL, CANCELLING, DELIVERY_ASK_CANCEL),
                ON(BACKOFF, GIVE_UP_UNSENT, DEAD, DELIVERY_SETTLE),
                ON(BACKOFF, GIVE_UP, GIVING_UP, DELIVERY_ASK_CANCEL),

                ON(CANCELLING, ANSWER_ACKED, ACKED, DELIVERY_SETTLE),
                ON(CANCELLING, ANSWER_REJECTED, REJECTED, DELIVERY_SETTLE),
                ON(CANCELLING, ANSWER_SETTLED, ACKED, DELIVERY_SETTLE),
                ON(CANCELLING, ANSWER_CANCELLED, CANCELLED, DELIVERY_SETTLE),
                ON(CANCELLING, ANSWER_CONFLICT, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                /* The attempt is over, and there is no further one. */
                ON(CANCELLING, ANSWER_FAILED, CANCELLED, DELIVERY_SETTLE),
                /* Nothing was done, so a copy that is still under way may start: ask again. */
                ON(CANCELLING, ANSWER_BUSY, CANCELLING, DELIVERY_ARM_RETRY),
                ON(CANCELLING, TIMEOUT, CANCELLING, DELIVERY_ASK_CANCEL),
                ON(CANCELLING, GONE, CANCELLED, DELIVERY_SETTLE),

                ON(GIVING_UP, ANSWER_ACKED, ACKED, DELIVERY_SETTLE),
                ON(GIVING_UP, ANSWER_REJECTED, REJECTED, DELIVERY_SETTLE),
                ON(GIVING_UP, ANSWER_SETTLED, ACKED, DELIVERY_SETTLE),
                ON(GIVING_UP, ANSWER_CANCELLED, DEAD, DELIVERY_SETTLE),
                ON(GIVING_UP, ANSWER_CONFLICT, DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE),
                /* The attempt is over, and there is no further one. */
                ON(GIVING_UP, ANSWER_FAILED, DEAD, DELIVERY_SETTLE),
                ON(GIVING_UP, ANSWER_BUSY, GIVING_UP, DELIVERY_ARM_RETRY),
                ON(GIVING_UP, TIMEOUT, GIVING_UP, DELIVERY_ASK_CANCEL),
                ON(GIVING_UP, GONE, DEAD, DELIVERY_SETTLE),
                ON(GIVING_UP, CANCEL, CANCELLING, DELIVERY_ASK_CANCEL),

                /* A message to several receivers; each member is a delivery of its own. */
                ON(GATHERING, GATHERED, ACKED, DELIVERY_SETTLE),
                ON(GATHERING, EXHAUSTED, DEAD, DELIVERY_SETTLE),
                ON(GATHERING, CANCEL, CANCELLING, 0),
                ON(GATHERING, GIVE_UP, GIVING_UP, 0),
                ON(CANCELLING, GATHERED, ACKED, DELIVERY_SETTLE),
                ON(GIVING_UP, GATHERED, ACKED, DELIVERY_SETTLE),

                ON(REJECTED, REVIVE, QUEUED, 0),

                /* Only a person takes a message out of a final state. */
                ON(DEAD, REVIVE, QUEUED, 0),
                ON(DEAD, GATHER, GATHERING, 0),
};

bool delivery_step(DeliveryState state, DeliveryEvent event, DeliveryStep *ret)
{
        assert(state < _DELIVERY_STATE_MAX && event < _DELIVERY_EVENT_MAX);

        const Cell *cell = &table[state][event];
        if (!cell->known)
                return false;
        *ret = cell->step;
        return true;
}
