/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/delivery.h"

#include "base/string-table.h"

static const char *const state_names[_DELIVERY_STATE_MAX] = {
                [DELIVERY_QUEUED] = "queued",
                [DELIVERY_BOUND] = "bound",
                [DELIVERY_SENT] = "sent",
                [DELIVERY_WAITING] = "waiting",
                [DELIVERY_CANCELLING] = "cancelling",
                [DELIVERY_ACKED] = "acked",
                [DELIVERY_REJECTED] = "rejected",
                [DELIVERY_CANCELLED] = "cancelled",
                [DELIVERY_DEAD] = "dead",
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
};
DEFINE_STRING_TABLE(delivery_event, DeliveryEvent, event_names)

/* A cell that is left out has no `known`, so the event means nothing there. */
typedef struct Cell {
        bool known;
        DeliveryStep step;
} Cell;

#define GO(state, ...)                                                                                      \
        {                                                                                                   \
                true,                                                                                       \
                {                                                                                           \
                        DELIVERY_##state, 0 __VA_OPT__(|) __VA_ARGS__                                       \
                }                                                                                           \
        }

/* Answers are taken in every bound state: one to an earlier try may come while the next is being waited for.
 */
#define FINAL_ANSWERS                                                                                       \
        [DELIVERY_ANSWER_ACKED] = GO(ACKED, DELIVERY_SETTLE),                                               \
        [DELIVERY_ANSWER_REJECTED] = GO(REJECTED, DELIVERY_SETTLE),                                         \
        [DELIVERY_ANSWER_SETTLED] = GO(ACKED, DELIVERY_SETTLE),                                             \
        [DELIVERY_ANSWER_CANCELLED] = GO(CANCELLED, DELIVERY_SETTLE),                                       \
        [DELIVERY_ANSWER_CONFLICT] = GO(DEAD, DELIVERY_CHARGE | DELIVERY_SETTLE)

static const Cell table[_DELIVERY_STATE_MAX][_DELIVERY_EVENT_MAX] = {
                [DELIVERY_QUEUED] =
                                {
                                                   [DELIVERY_BIND] = GO(BOUND),
                                                   [DELIVERY_CANCEL_UNSENT] = GO(CANCELLED,               DELIVERY_SETTLE),
                                                   /* It ran, or may have, at a receiver that is gone: there is
                                                   nobody left to ask. */
                                                [DELIVERY_CANCEL] = GO(CANCELLED,                                                      DELIVERY_SETTLE),
                                                   },
                [DELIVERY_BOUND] =
                                {
                                                   FINAL_ANSWERS,                                            [DELIVERY_WRITE] = GO(SENT,                         DELIVERY_ARM_ACK),
                                                   [DELIVERY_UNBIND] = GO(QUEUED,                                              DELIVERY_DROP_BINDING),
                                                   [DELIVERY_ANSWER_FAILED] = GO(WAITING,
                                                   DELIVERY_CHARGE | DELIVERY_ARM_RETRY),
                                                   [DELIVERY_CANCEL_UNSENT] = GO(CANCELLED, DELIVERY_SETTLE),
                                                   [DELIVERY_CANCEL] = GO(CANCELLING, DELIVERY_ASK_CANCEL),
                                                   },
                [DELIVERY_SENT] =
                                {
                                                   FINAL_ANSWERS,                        [DELIVERY_ANSWER_FAILED] = GO(WAITING,
                                                   DELIVERY_CHARGE | DELIVERY_ARM_RETRY),
                                                   [DELIVERY_ANSWER_BUSY] = GO(WAITING, DELIVERY_ARM_RETRY),
                                                   [DELIVERY_ANSWER_WORKING] = GO(SENT, DELIVERY_ARM_ACK),
                                                   [DELIVERY_TIMEOUT] = GO(WAITING,
                                                   DELIVERY_CHARGE | DELIVERY_ARM_RETRY),
                                                   /* Not charged: whether it started is what the next
                                                   connection will tell. */
                                                [DELIVERY_DISCONNECT] = GO(BOUND),
                                                   [DELIVERY_CANCEL] = GO(CANCELLING, DELIVERY_ASK_CANCEL),
                                                   },
                [DELIVERY_WAITING] =
                                {
                                                   FINAL_ANSWERS,                      [DELIVERY_DUE] = GO(BOUND),
                                                   [DELIVERY_UNBIND] = GO(QUEUED,                                          DELIVERY_DROP_BINDING),
                                                   /* The handler lives after all: no need to send again. */
                                                [DELIVERY_ANSWER_WORKING] = GO(SENT,                                                         DELIVERY_ARM_ACK),
                                                   [DELIVERY_CANCEL_UNSENT] = GO(CANCELLED, DELIVERY_SETTLE),
                                                   [DELIVERY_CANCEL] = GO(CANCELLING, DELIVERY_ASK_CANCEL),
                                                   },
                [DELIVERY_CANCELLING] =
                                {
                                                   FINAL_ANSWERS,                                            /* The attempt is over and no other will be
                                                   made. */
                                                [DELIVERY_ANSWER_FAILED] = GO(CANCELLED, DELIVERY_SETTLE),
                                                   [DELIVERY_ANSWER_BUSY] = GO(CANCELLED,                                DELIVERY_SETTLE),
                                                   [DELIVERY_TIMEOUT] = GO(CANCELLING, DELIVERY_ASK_CANCEL),
                                                   [DELIVERY_GONE] = GO(CANCELLED, DELIVERY_SETTLE),
                                                   },
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
