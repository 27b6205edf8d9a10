/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/events.h"

#include "client/state/message.h"

int event_of_step(const Message *m, DeliveryEvent step)
{
        if (m->record.state == DELIVERY_CANCELLING)
                return EVENT_CANCELLING;
        if (m->record.state == DELIVERY_GIVING_UP)
                return EVENT_GIVING_UP;
        switch (step) {
        case DELIVERY_BIND:
                return EVENT_BOUND;
        case DELIVERY_WRITE:
                return EVENT_SENT;
        case DELIVERY_ANSWER_FAILED:
                return EVENT_FAILED;
        case DELIVERY_ANSWER_BUSY:
                return EVENT_BUSY;
        case DELIVERY_ANSWER_WORKING:
                return EVENT_WORKING;
        case DELIVERY_TIMEOUT:
                return EVENT_NO_ACK;
        case DELIVERY_DISCONNECT:
                return EVENT_DISCONNECTED;
        case DELIVERY_UNBIND:
        case DELIVERY_GONE:
        case DELIVERY_REVIVE:
                return EVENT_QUEUED;
        default:
                return -1;
        }
}

MessageEvent event_of_end(const Message *m)
{
        bool member = message_is_member(m);

        switch (m->record.state) {
        case DELIVERY_ACKED:
                return member ? EVENT_MEMBER_ACKED : EVENT_ACKED;
        case DELIVERY_REJECTED:
                return member ? EVENT_MEMBER_REJECTED : EVENT_REJECTED;
        case DELIVERY_CANCELLED:
                return member ? EVENT_MEMBER_CANCELLED : EVENT_CANCELLED;
        default:
                return member ? EVENT_MEMBER_DEAD : EVENT_DEAD;
        }
}

int event_of_attempt(DeliveryEvent step)
{
        switch (step) {
        case DELIVERY_ANSWER_REJECTED:
                return EVENT_REJECTED;
        case DELIVERY_ANSWER_FAILED:
                return EVENT_FAILED;
        case DELIVERY_ANSWER_BUSY:
                return EVENT_BUSY;
        case DELIVERY_ANSWER_CONFLICT:
                return EVENT_CONFLICT;
        case DELIVERY_ANSWER_CANCELLED:
                return EVENT_CANCELLED;
        case DELIVERY_TIMEOUT:
                return EVENT_NO_ACK;
        case DELIVERY_DISCONNECT:
                return EVENT_DISCONNECTED;
        case DELIVERY_CANCEL:
                return EVENT_CANCELLING;
        case DELIVERY_GIVE_UP:
                return EVENT_GIVING_UP;
        default:
                return -1;
        }
}
