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
        return sd_bus_reply_method_return(call, "a(sssa{ss}assub)s", 2, ID, "1", "blue", 1, "zone", "a", 1,
                        "unix:/run/1.sock", "connected", 3, false, OTHER, "2", "", 0, 0, "idle", 0, true,
                        "");
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

static inline void append_bytes(sd_bus_message *answer, const char *bytes)
{
        assert_true(sd_bus_message_open_container(answer, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(answer, "s", "reply") >= 0);
        assert_true(sd_bus_message_open_container(answer, 'v', "ay") >= 0);
        assert_true(sd_bus_message_append_array(answer, 'y', bytes, strlen(bytes)) >= 0);
        assert_true(sd_bus_message_close_container(answer) >= 0);
        assert_true(sd_bus_message_close_container(answer) >= 0);
}

static inline int reply_end(sd_bus_message *call, const char *state, uint32_t attempts, const char *reply,
                const char *problem)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        assert_true(sd_bus_message_new_method_return(call, &answer) >= 0);
        assert_true(sd_bus_message_open_container(answer, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_append(answer, "{sv}{sv}{sv}{sv}{sv}", "state", "s", state, "attempts",
                                    "u", attempts, "receiver", "s", "1@host", "reply_cut", "b", 0, "error",
                                    "s", problem) >= 0);
        append_bytes(answer, reply);
        assert_true(sd_bus_message_close_container(answer) >= 0);
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

static inline const char *asked_after(sd_bus_message *call)
{
        const char *after;

        assert_true(sd_bus_message_rewind(call, true) >= 0);
        assert_true(sd_bus_message_read(call, "sa{sv}", NULL, 1, NULL, "s", &after) > 0);
        return after;
}

/* In pages: the first one alone, then the others. */
static inline int reply_deliveries(Service *s, sd_bus_message *call)
{
        static const struct {
                const char *id, *name, *state, *error, *reply;
                uint32_t attempts;
                uint64_t sent, settled, next;
                int cut;
        } rows[] = {
                        {ID, "1@host", "acked", "", "ok", 1, 1900000000000000, 1900000002500000, 0, 1},
                        {OTHER, "2@host", "waiting", "no ack", "", 2, 1900000001000000, 0, 1900000060000000,
                                        0},
                        {OTHER, "3@host", "sent", "", "\xff", 1, 1900000000000000, 0, 0, 0},
        };
        const bool is_page = sd_bus_message_is_method_call(call, NULL, "FindDeliveries") > 0;
        const size_t first = is_page && !str_equal(asked_after(call), "") ? 1 : 0;
        const size_t end = is_page && first == 0 ? 1 : ELEMENTSOF(rows);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        assert_true(sd_bus_message_new_method_return(call, &answer) >= 0);
        assert_true(sd_bus_message_open_container(answer, 'a', "a{sv}") >= 0);
        for (size_t i = first; i < end; i++) {
                assert_true(sd_bus_message_open_container(answer, 'a', "{sv}") >= 0);
                assert_true(sd_bus_message_append(answer, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}",
                                            "receiver_id", "s", rows[i].id, "receiver", "s", rows[i].name,
                                            "state", "s", rows[i].state, "attempts", "u", rows[i].attempts,
                                            "sent", "t", rows[i].sent, "settled", "t", rows[i].settled,
                                            "next_retry", "t", rows[i].next, "error", "s", rows[i].error,
                                            "reply_cut", "b", rows[i].cut) >= 0);
                append_bytes(answer, rows[i].reply);
                assert_true(sd_bus_message_close_container(answer) >= 0);
        }
        assert_true(sd_bus_message_close_container(answer) >= 0);
        if (is_page)
                assert_true(sd_bus_message_append(answer, "s", end < ELEMENTSOF(rows) ? "1" : "") >= 0);
        return sd_bus_send(NULL, answer, NULL);
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
