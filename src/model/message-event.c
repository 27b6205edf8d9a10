/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/message-event.h"

#include "base/string-table.h"

static const char *const names[_MESSAGE_EVENT_MAX] = {
                [EVENT_ACCEPTED] = "accepted",
                [EVENT_QUEUED] = "queued",
                [EVENT_BOUND] = "bound",
                [EVENT_SENT] = "sent",
                [EVENT_WORKING] = "working",
                [EVENT_NO_ACK] = "no-ack",
                [EVENT_FAILED] = "failed",
                [EVENT_BUSY] = "busy",
                [EVENT_DISCONNECTED] = "disconnected",
                [EVENT_WAITING] = "waiting",
                [EVENT_DELAYED] = "delayed",
                [EVENT_GATHERING] = "gathering",
                [EVENT_CANCELLING] = "cancelling",
                [EVENT_GIVING_UP] = "giving-up",
                [EVENT_ACKED] = "acked",
                [EVENT_REJECTED] = "rejected",
                [EVENT_CANCELLED] = "cancelled",
                [EVENT_DEAD] = "dead",
                [EVENT_MEMBER_ACKED] = "member-acked",
                [EVENT_MEMBER_REJECTED] = "member-rejected",
                [EVENT_MEMBER_CANCELLED] = "member-cancelled",
                [EVENT_MEMBER_DEAD] = "member-dead",
                [EVENT_CONFLICT] = "conflict",
                [EVENT_MOVED] = "moved",
};

DEFINE_STRING_TABLE(message_event, MessageEvent, names)
