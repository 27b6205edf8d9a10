/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a client answers, for the tests of verbs. */

#include "ctl-run.h"

#define ID    "5f0c1a2b-0000-4000-8000-000000000001"
#define OTHER "5f0c1a2b-0000-4000-8000-000000000002"
#define PATH  "/org/ackgroup/Client1/message/x"
#define GONE  "org.ackgroup.Error.Disconnected"

static inline int reply_empty(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, NULL);
}

static inline int reply_gone(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_errorf(call, GONE, "the client stops");
}

static inline int reply_denied(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "That is not allowed");
}

static inline int reply_no_message(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_errorf(
                        call, "org.ackgroup.Error.NoSuchMessage", "No message has this id");
}

static inline int reply_nonsense(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "d", 1.5);
}

static inline int reply_receivers(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssa{ss}assub)", 2, ID, "1", "blue", 1, "zone", "a", 1,
                        "unix:/run/1.sock", "connected", 3, false, OTHER, "2", "", 0, 0, "idle", 0, true);
}

static inline int reply_message(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "o", PATH);
}

/* userdata: the properties' State, and Mode behind it after a blank. */
static inline int reply_properties(Service *s, sd_bus_message *call)
{
        const char *interface, *words = s->userdata ?: "sent to";
        char state[32], mode[32];

        assert_true(sd_bus_message_read(call, "s", &interface) > 0);
        if (strstr(interface, "Manager"))
                return sd_bus_reply_method_return(call, "a{sv}", 3, "Version", "s", "0.1.0",
                                "DiscoveryState", "s", words, "Waiting", "t", (uint64_t) 7);
        assert_int_equal(sscanf(words, "%31s %31s", state, mode), 2);
        return sd_bus_reply_method_return(call, "a{sv}", 9, "Id", "s", ID, "State", "s", state, "Mode", "s",
                        mode, "Attempts", "u", 2, "ReceiverName", "s", "1@host", "LastError", "s",
                        "exit status 1", "Accepted", "t", UINT64_C(1900000000000000), "Size", "t",
                        (uint64_t) 5, "Reply", "ay", 2, 'o', 'k');
}

#define PROPERTIES                                                                                          \
        {"GetMessage", reply_message},                                                                      \
        {                                                                                                   \
                "GetAll", reply_properties                                                                  \
        }

static inline int reply_sent(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "so", ID, PATH);
}

static inline int reply_end(sd_bus_message *call, const char *state, uint32_t attempts, const char *reply,
                const char *problem)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        assert_true(sd_bus_message_new_method_return(call, &answer) >= 0);
        assert_true(sd_bus_message_append(answer, "sus", state, attempts, "1@host") >= 0);
        assert_true(sd_bus_message_append_array(answer, 'y', reply, strlen(reply)) >= 0);
        assert_true(sd_bus_message_append(answer, "s", problem) >= 0);
        return sd_bus_send(NULL, answer, NULL);
}

static inline int wait_acked(Service *s, sd_bus_message *call)
{
        return reply_end(call, "acked", 1, "the reply", "an older error");
}

static inline int wait_dead(Service *s, sd_bus_message *call)
{
        return reply_end(call, "dead", 3, "", "exit status 1\033");
}

static inline int wait_for_ever(Service *s, sd_bus_message *call)
{
        return 0;
}

static inline int reply_deliveries(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssutttsay)", 3, ID, "1@host", "acked", 1,
                        UINT64_C(1900000000000000), UINT64_C(1900000002500000), UINT64_C(0), "", 2, 'o', 'k',
                        OTHER, "2@host", "waiting", 2, UINT64_C(1900000001000000), UINT64_C(0),
                        UINT64_C(1900000060000000), "no ack", 0, OTHER, "3@host", "sent", 1,
                        UINT64_C(1900000000000000), UINT64_C(0), UINT64_C(0), "", 1, 0xff);
}

static inline int reply_attempts(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(usuttss)", 1, 2, "2@host", 1, UINT64_C(1900000001000000),
                        UINT64_C(1900000001250000), "no-ack", "in time");
}

static inline int reply_why(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "ss", "Nobody is there.", s->userdata ?: "Start one.");
}
