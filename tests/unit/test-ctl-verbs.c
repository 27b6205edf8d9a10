/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "ctl-run.h"

#include "ctl/agent.h"

#define ID    "5f0c1a2b-0000-4000-8000-000000000001"
#define OTHER "5f0c1a2b-0000-4000-8000-000000000002"
#define PATH  "/org/ackgroup/Client1/message/x"
#define GONE  "org.ackgroup.Error.Disconnected"

/* Waiting is a hundred times as fast (see meson.build). */
int __real_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __real_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);

int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
        return __real_sd_event_add_time_relative(e, ret, clock, usec / 100, 1, callback, userdata);
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec)
{
        return __real_sd_event_source_set_time_relative(s, usec / 100);
}

/* Answers of the client. */

static int reply_empty(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, NULL);
}

static int reply_gone(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_errorf(call, GONE, "the client stops");
}

static int reply_denied(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "That is not allowed");
}

static int reply_no_message(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_errorf(
                        call, "org.ackgroup.Error.NoSuchMessage", "No message has this id");
}

static int reply_nonsense(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "d", 1.5);
}

static int reply_receivers(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssa{ss}assub)", 2, ID, "1", "blue", 1, "zone", "a", 1,
                        "unix:/run/1.sock", "connected", 3, false, OTHER, "2", "", 0, 0, "idle", 0, true);
}

static int reply_message(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "o", PATH);
}

/* userdata: the properties' State, and Mode behind it after a blank. */
static int reply_properties(Service *s, sd_bus_message *call)
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

static int reply_sent(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "so", ID, PATH);
}

static int reply_end(sd_bus_message *call, const char *state, uint32_t attempts, const char *reply,
                const char *problem)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        assert_true(sd_bus_message_new_method_return(call, &answer) >= 0);
        assert_true(sd_bus_message_append(answer, "sus", state, attempts, "1@host") >= 0);
        assert_true(sd_bus_message_append_array(answer, 'y', reply, strlen(reply)) >= 0);
        assert_true(sd_bus_message_append(answer, "s", problem) >= 0);
        return sd_bus_send(NULL, answer, NULL);
}

static int wait_acked(Service *s, sd_bus_message *call)
{
        return reply_end(call, "acked", 1, "the reply", "an older error");
}

static int wait_dead(Service *s, sd_bus_message *call)
{
        return reply_end(call, "dead", 3, "", "exit status 1\033");
}

static int wait_for_ever(Service *s, sd_bus_message *call)
{
        return 0;
}

static int reply_deliveries(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssutttsay)", 3, ID, "1@host", "acked", 1,
                        UINT64_C(1900000000000000), UINT64_C(1900000002500000), UINT64_C(0), "", 2, 'o', 'k',
                        OTHER, "2@host", "waiting", 2, UINT64_C(1900000001000000), UINT64_C(0),
                        UINT64_C(1900000060000000), "no ack", 0, OTHER, "3@host", "sent", 1,
                        UINT64_C(1900000000000000), UINT64_C(0), UINT64_C(0), "", 1, 0xff);
}

static int reply_attempts(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(usuttss)", 1, 2, "2@host", 1, UINT64_C(1900000001000000),
                        UINT64_C(1900000001250000), "no-ack", "in time");
}

/* Tests. */

static void test_list(void **state)
{
        static const ServiceMethods methods[] = {
                        {"ListReceivers", reply_receivers}, {"GetAll", reply_properties}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, (void *) "unreachable", "list", "--group", "blue", "--label",
                                         "zone=a"),
                        EXIT_OK);
        assert_string_equal(r.capture.out,
                        "NAME  GROUP  STATE      BOUND  ID                                    LABELS  "
                        "ADDRESSES\n"
                        "1     blue   connected      3  " ID "  zone=a  unix:/run/1.sock\n"
                        "2     -      idle           0  " OTHER "  -       -\n"
                        "\n2 receivers.\n");
        assert_contains(r.capture.err, "Discovery does not answer");
        assert_contains(r.called, "ListReceivers group=blue,label=zone=a\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "reachable", "list", "--json=short"), EXIT_OK);
        assert_contains(r.capture.out,
                        "[{\"id\":\"" ID "\",\"name\":\"1\",\"group\":\"blue\",\"labels\":{\"zone\":\"a\"},"
                        "\"addresses\":[\"unix:/run/"
                        "1.sock\"],\"state\":\"connected\",\"bound\":3,\"plain\":false},");
        assert_string_equal(r.capture.err, "");
        assert_string_equal(r.called, "ListReceivers \n");
        run_clear(&r);
}

static void test_status(void **state)
{
        static const ServiceMethods methods[] = {{"GetAll", reply_properties}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, (void *) "reachable", "status"), EXIT_OK);
        assert_string_equal(r.capture.out,
                        "        Version: 0.1.0\n            Bus: system\nDiscovery state: reachable\n"
                        "      Receivers: 0\n        Waiting: 7\n   Dead letters: 0\n        Settled: 0\n"
                        "       Attempts: 0\n   Outbox limit: 0\n");
        run_clear(&r);
}

static int reply_page(Service *s, sd_bus_message *call)
{
        unsigned *pages = s->userdata;

        (*pages)++;
        return sd_bus_reply_method_return(call, "a(sssssuttts)s", 1, *pages == 1 ? ID : OTHER, "any", "blue",
                        "dead", "1@host", 3, UINT64_C(1900000000000000), UINT64_C(0), (uint64_t) 5,
                        "exit status 1", *pages == 1 ? "next-page" : "");
}

static void test_messages(void **state)
{
        static const ServiceMethods methods[] = {{"ListMessages", reply_page}, {}};
        unsigned pages = 0;
        Run r = {};

        assert_int_equal(RUN(&r, methods, &pages, "messages", "-n1", "--state", "dead", "--state", "acked"),
                        EXIT_OK);
        assert_string_equal(r.called, "ListMessages limit=1,after=,states=dead,acked\n");
        assert_contains(r.capture.out,
                        "ID                                    STATE  MODE  TARGET  RECEIVER");
        assert_contains(r.capture.out, "\n1 message.\nThere are older ones: --all shows them.\n");
        run_clear(&r);
        pages = 0;
        assert_int_equal(RUN(&r, methods, &pages, "messages", "--all", "--no-legend"), EXIT_OK);
        assert_string_equal(r.called,
                        "ListMessages limit=1000,after=\nListMessages limit=1000,after=next-page\n");
        assert_ptr_equal(strstr(r.capture.out, ID), r.capture.out);
        assert_contains(r.capture.out, "\n" OTHER);
        assert_null(strstr(r.capture.out, "older"));
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, &pages, "messages", "--all", "-n1"), EXIT_USAGE);
        run_clear(&r);
}

static void test_show(void **state)
{
        static const ServiceMethods methods[] = {PROPERTIES, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "show", "5f0c1a", "5f0c1b"), EXIT_OK);
        assert_contains(r.capture.out, "    Message: " ID "\n      State: sent\n       Mode: to\n");
        assert_contains(r.capture.out, "      Reply: ok\n\n    Message: ");
        assert_contains(r.called,
                        "GetMessage 5f0c1a\nGetAll org.ackgroup.Client1.Message\nGetMessage 5f0c1b\n");
        run_clear(&r);
}

static void test_trace(void **state)
{
        static const ServiceMethods methods[] = {PROPERTIES, {"ListDeliveries", reply_deliveries},
                        {"ListAttempts", reply_attempts}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, (void *) "gathering all", "trace", "5f0c1a"), EXIT_OK);
        assert_string_equal(r.capture.out,
                        "SENT                 RECEIVER  ATTEMPT  OUTCOME  TOOK      DETAIL\n"
                        "2030-03-17 17:46:41  2@host          1  no-ack   250ms     in time\n"
                        "2030-03-17 17:46:40  1@host          1  acked    2s 500ms  -\n"
                        "2030-03-17 17:46:40  3@host          1  sent     -         -\n"
                        "\n3 attempts.\n\n"
                        "RECEIVER  STATE    ATTEMPTS  SETTLED              NEXT TRY             ERROR\n"
                        "1@host    acked           1  2030-03-17 17:46:42  -                    -\n"
                        "2@host    waiting         2  -                    2030-03-17 17:47:40  no ack\n"
                        "3@host    sent            1  -                    -                    -\n"
                        "\n3 receivers.\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "gathering all", "trace", "--json=short", "5f0c1a"),
                        EXIT_OK);
        assert_contains(r.capture.out, "{\"id\":\"" ID "\",\"deliveries\":[{\"receiver_id\":");
        assert_contains(r.capture.out,
                        "{\"member\":1,\"receiver\":\"1@host\",\"attempt\":1,\"sent\":1900000000000000,"
                        "\"ended\":1900000002500000,\"outcome\":\"acked\",\"detail\":\"\"}");
        assert_contains(r.capture.out, "{\"member\":3,");
        run_clear(&r);
}

static int reply_why(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "ss", "Nobody is there.", s->userdata ?: "Start one.");
}

static void test_why(void **state)
{
        static const ServiceMethods methods[] = {{"Explain", reply_why}, {"GetMessage", reply_message},
                        {"GetAll", reply_properties}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "why", "5f0c1a"), EXIT_OK);
        assert_string_equal(r.capture.out, "Nobody is there.\nStart one.\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "sent to", "why", "--json=short", "5f0c1a"), EXIT_OK);
        assert_string_equal(r.capture.out,
                        "{\"id\":\"" ID "\",\"why\":\"Nobody is there.\",\"advice\":\"sent to\"}\n");
        run_clear(&r);
}

static void test_cancel_and_drain(void **state)
{
        static const ServiceMethods good[] = {{"Cancel", reply_empty}, {"Drain", reply_empty}, {}};
        static const ServiceMethods bad[] = {{"Cancel", reply_no_message}, {"Drain", reply_denied}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, good, NULL, "cancel", "111111", "222222"), EXIT_OK);
        assert_string_equal(r.called, "Cancel 111111\nCancel 222222\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, good, NULL, "drain", "1"), EXIT_OK);
        assert_string_equal(r.called, "Drain 1|1\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, good, NULL, "resume", "1", "2"), EXIT_OK);
        assert_string_equal(r.called, "Drain 1|0\nDrain 2|0\n");
        run_clear(&r);
        /* What fails for one message does not end the others; what is denied is denied for all. */
        assert_int_equal(RUN(&r, bad, NULL, "cancel", "111111", "222222"), EXIT_NOT_FOUND);
        assert_string_equal(r.called, "Cancel 111111\nCancel 222222\n");
        assert_contains(r.capture.err, "No message has this id; \"ackctl messages\" shows them\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, bad, NULL, "drain", "1", "2"), EXIT_FAILED);
        assert_string_equal(r.called, "Drain 1|1\n");
        assert_contains(r.capture.err, "That is not allowed; only root, the group ackgroup");
        run_clear(&r);
}

static int reply_dead(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssssuttts)s", 2, ID, "to", "1", "dead", "1@host", 3,
                        (uint64_t) 1, (uint64_t) 2, (uint64_t) 5, "", OTHER, "to", "1", "rejected", "1@host",
                        1, (uint64_t) 1, (uint64_t) 2, (uint64_t) 5, "", "");
}

static void test_dead(void **state)
{
        static const ServiceMethods methods[] = {PROPERTIES, {"ListMessages", reply_dead},
                        {"Retry", reply_empty}, {"Purge", reply_empty}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "dead"), EXIT_OK);
        assert_contains(r.called, "limit=100,after=,states=rejected,dead\n");
        assert_contains(r.capture.out, "\n2 messages.\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "dead", "retry", "--all"), EXIT_OK);
        assert_contains(r.called, "Retry " ID "\nRetry " OTHER "\n");
        assert_string_equal(r.capture.out, "2 messages.\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "dead", "retry", "111111"), EXIT_OK);
        assert_string_equal(r.called, "Retry 111111\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "rejected to", "dead", "purge", "111111"), EXIT_OK);
        assert_contains(r.called, "Purge 111111\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "acked to", "dead", "purge", "111111"), EXIT_FAILED);
        assert_null(strstr(r.called, "Purge"));
        assert_contains(r.capture.err, "111111 is acked, not a dead letter");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "dead", "purge", "--all", "--no-legend"), EXIT_OK);
        assert_string_equal(r.capture.out, "");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "dead", "show", "111111"), EXIT_OK);
        assert_contains(r.capture.out, "Message: " ID);
        run_clear(&r);
        static const char *const wrong[][6] = {{"--system", "dead", "frob"}, {"--system", "dead", "retry"},
                        {"--system", "dead", "list", "111111"},
                        {"--system", "dead", "purge", "--all", "111111"},
                        {"--system", "dead", "show", "--all", "111111"}};
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                assert_int_equal(run_words(&r, methods, NULL, wrong[i]), EXIT_USAGE);
                assert_contains(r.capture.err, "\"dead show ID…\"");
                run_clear(&r);
        }
}

static int send_with_events(Service *s, sd_bus_message *call)
{
        return reply_sent(s, call);
}

static int wait_with_events(Service *s, sd_bus_message *call)
{
        (void) service_emit_event(s, OTHER, "acked", 1, "", "another message");
        (void) service_emit_event(s, ID, "accepted", 1, "", "");
        (void) service_emit_event(s, ID, "bound", 1, "1@host", "");
        (void) service_emit_event(s, ID, "sent", 1, "1@host", "");
        (void) service_emit_event(s, ID, "working", 1, "1@host", "");
        (void) service_emit_event(s, ID, "working", 1, "1@host", "");
        (void) service_emit_event(s, ID, "working", 1, "1@host", "40 half \033 done");
        (void) service_emit_event(s, ID, "working", 1, "1@host", "40 half \033 done");
        (void) service_emit_event(s, ID, "no-ack", 1, "1@host", "");
        (void) service_emit_event(s, ID, "sent", 2, "1@host", "");
        (void) service_emit_event(s, ID, "failed", 2, "1@host", "exit status 1");
        (void) service_emit_event(s, ID, "queued", 2, "", "busy there");
        (void) service_emit_event(s, ID, "a-new-word", 2, "1@host", "of tomorrow");
        (void) service_emit_event(s, ID, "acked", 2, "1@host", "");
        return wait_acked(s, call);
}

static void test_send_shows_the_steps(void **state)
{
        static const ServiceMethods methods[] = {{"Send", send_with_events}, {"Wait", wait_with_events}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--group", "blue", "--priority=5", "hello"),
                        EXIT_OK);
        assert_string_equal(r.called, "Send any|blue|hello|priority=5\nWait " ID "|0\n");
        assert_string_equal(r.capture.out, "the reply");
        assert_string_equal(r.capture.err, "accepted      " ID "\n"
                                           "bound         to 1@host\n"
                                           "sent          to 1@host\n"
                                           "working       at 1@host\n"
                                           "working       at 1@host: 40 % half \\x1b done\n"
                                           "no-ack        from 1@host, attempt 1\n"
                                           "sent          to 1@host, attempt 2\n"
                                           "failed        at 1@host, attempt 2: exit status 1\n"
                                           "queued        busy there\n"
                                           "a-new-word    of tomorrow\n"
                                           "acked         by 1@host, 1 attempt\n");
        run_clear(&r);
        r.c.out_is_terminal = r.c.err_is_terminal = true;
        r.columns = 60;
        assert_int_equal(RUN(&r, methods, NULL, "send", "--to", "1", "hello"), EXIT_OK);
        assert_contains(r.capture.out,
                        "\r\033[Kworking       [############                  ]  40 % half …"
                        "\r\033[Kworking       [############                  ]  40 % half …\n"
                        "no-ack        from");
        assert_contains(r.capture.out, "1 attempt\nthe reply\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--to", "1", "--json=short", "hello"), EXIT_OK);
        assert_string_equal(r.capture.out,
                        "{\"id\":\"" ID "\",\"state\":\"acked\",\"attempts\":1,\"receiver\":\"1@host\","
                        "\"reply\":\"the reply\",\"error\":\"\"}\n");
        assert_string_equal(r.capture.err, "");
        run_clear(&r);
}

static void test_send_no_wait(void **state)
{
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {}};
        static const ServiceMethods nonsense[] = {{"Send", reply_nonsense}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "send", "--key=k", "--no-wait", "x"), EXIT_OK);
        assert_string_equal(r.capture.out, ID "\n");
        assert_string_equal(r.called, "Send key||x|key=k\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--no-wait", "--json=short", "x"), EXIT_OK);
        assert_string_equal(r.capture.out, "{\"id\":\"" ID "\"}\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, nonsense, NULL, "send", "--any", "--no-wait", "x"), EXIT_FAILED);
        assert_contains(r.capture.err, "the client's answer cannot be read");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--priority=high", "x"), EXIT_USAGE);
        assert_string_equal(r.called, "");
        run_clear(&r);
}

static void test_send_payloads(void **state)
{
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {}};
        Run r = {};

        capture_set_input("from standard input");
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--no-wait"), EXIT_OK);
        assert_string_equal(r.called, "Send any||from standard input|\n");
        run_clear(&r);
        capture_set_input("as a file");
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--no-wait", "--file=-"), EXIT_OK);
        assert_string_equal(r.called, "Send any||as a file|\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--file=/dev/null", "--no-wait"), EXIT_OK);
        assert_string_equal(r.called, "Send any|||\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--file=/dev/zero"), EXIT_FAILED);
        assert_contains(r.capture.err, "/dev/zero is longer than");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--file=/nonexistent"), EXIT_FAILED);
        assert_contains(r.capture.err, "cannot open /nonexistent");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--file=/"), EXIT_FAILED);
        assert_contains(r.capture.err, "cannot read /");
        run_clear(&r);
}

static void test_send_mistakes(void **state)
{
        static const struct {
                const char *words[8], *text;
        } cases[] = {
                        {{"send", "x"}, "say to whom, with one of --to RECEIVER, --any"},
                        {{"send", "--to=1", "--all", "x"}, "with only one of --to RECEIVER, --any"},
                        {{"send", "--to=1", "--group=g", "x"}, "go with a group"},
                        {{"send", "--to=1", "--label=a=b", "x"}, "go with a group"},
                        {{"send", "--any", "--follow-joins", "x"}, "--follow-joins goes with --all"},
                        {{"send", "--any", "--no-wait", "--timeout=1s", "x"},
                                        "either --timeout or --no-wait"},
                        {{"send", "--any", "--in=1s", "--at=18:00", "x"}, "either --in or --at"},
                        {{"send", "--any", "--file=f", "x"}, "not both"},
                        {{"send", "--any", "--lines", "x"}, "not both"},
                        {{"send", "--any", "--lines", "--idempotency-key=k"}, "names one message"},
                        {{"send", "--any", "--null"}, "--null goes with --lines"},
        };
        Run r = {};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(run_words(&r, NULL, NULL, cases[i].words), EXIT_USAGE);
                assert_contains(r.capture.err, cases[i].text);
                run_clear(&r);
        }
}

static void test_ends(void **state)
{
        static const ServiceMethods dead[] = {PROPERTIES, {"Wait", wait_dead}, {}};
        static const ServiceMethods several[] = {
                        PROPERTIES, {"Wait", wait_acked}, {"ListDeliveries", reply_deliveries}, {}};
        static const ServiceMethods missing[] = {{"GetMessage", reply_no_message}, {}};
        static const ServiceMethods refused[] = {PROPERTIES, {"Wait", reply_no_message}, {}};
        static const ServiceMethods nonsense[] = {PROPERTIES, {"Wait", reply_nonsense}, {}};
        static const ServiceMethods bad_path[] = {{"GetMessage", reply_nonsense}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, dead, NULL, "wait", "5f0c1a"), EXIT_NOT_ACKED);
        assert_string_equal(r.capture.err, "dead          exit status 1\\x1b\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, dead, NULL, "wait", "--json=short", "5f0c1a"), EXIT_NOT_ACKED);
        assert_contains(r.capture.out, "\"error\":\"exit status 1\\u001b\"}");
        run_clear(&r);
        assert_int_equal(RUN(&r, several, (void *) "sent all", "wait", "5f0c1a"), EXIT_OK);
        assert_contains(r.capture.out, "1@host: ok\n3@host: \xff\n");
        run_clear(&r);
        assert_int_equal(
                        RUN(&r, several, (void *) "sent quorum", "wait", "--json=short", "5f0c1a"), EXIT_OK);
        assert_contains(r.capture.out, "\"replies\":[{\"receiver\":\"1@host\",\"reply\":\"ok\"},"
                                       "{\"receiver\":\"3@host\",\"reply\":[255]}]}");
        run_clear(&r);
        assert_int_equal(RUN(&r, missing, NULL, "wait", "111111", "222222"), EXIT_NOT_FOUND);
        assert_string_equal(r.called, "GetMessage 111111\nGetMessage 222222\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, refused, NULL, "wait", "5f0c1a"), EXIT_NOT_FOUND);
        run_clear(&r);
        assert_int_equal(RUN(&r, nonsense, NULL, "wait", "5f0c1a"), EXIT_FAILED);
        run_clear(&r);
        assert_int_equal(RUN(&r, bad_path, NULL, "wait", "5f0c1a"), EXIT_FAILED);
        run_clear(&r);
}

/* userdata counts. The client is away twice, then it knows the end. */
static int wait_away_first(Service *s, sd_bus_message *call)
{
        unsigned *n = s->userdata;

        return ++*n < 3 ? reply_gone(s, call) : wait_acked(s, call);
}

static void test_client_is_restarted(void **state)
{
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {"Wait", wait_away_first}, {}};
        unsigned n = 0;
        Run r = {};

        assert_int_equal(RUN(&r, methods, &n, "send", "--any", "x"), EXIT_OK);
        assert_int_equal(n, 3);
        assert_string_equal(r.capture.err,
                        "waiting       the client does not run; it has the message on disk; asking again\n"
                        "acked         by 1@host, 1 attempt\n");
        run_clear(&r);
}

static void end_wait(Service *s)
{
        (void) kill(getpid(), SIGINT);
}

static int explain_then_interrupt(Service *s, sd_bus_message *call)
{
        (void) service_later(s, 20000, end_wait);
        return reply_why(s, call);
}

static void test_quiet_and_interrupt(void **state)
{
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {"Wait", wait_for_ever},
                        {"Explain", explain_then_interrupt}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "x"), EXIT_INTERRUPTED);
        assert_string_equal(r.capture.err, "waiting       Nobody is there.\n"
                                           "              Start one.\n"
                                           "ackctl: interrupted; delivery goes on: ackctl wait 5f0c1a2b\n");
        run_clear(&r);
}

static void test_timeout(void **state)
{
        static const ServiceMethods methods[] = {
                        PROPERTIES, {"Send", reply_sent}, {"Wait", wait_for_ever}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--timeout=20ms", "x"), EXIT_TIMEOUT);
        assert_string_equal(r.capture.err,
                        "ackctl: not done after 20ms; delivery goes on: ackctl wait 5f0c1a2b\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--json=short", "--timeout=20ms", "x"),
                        EXIT_TIMEOUT);
        assert_contains(r.capture.out,
                        "{\"id\":\"" ID
                        "\",\"state\":\"sent\",\"attempts\":2,\"receiver\":\"1@host\",\"reply\":\"\","
                        "\"error\":\"exit status 1\"}");
        run_clear(&r);
}

static void emit_and_end(Service *s)
{
        (void) service_emit_event(s, ID, "failed", 2, "1@host", "exit status 1");
        (void) service_emit(s, "ReceiverAdded", OTHER, "2@host", "blue");
        (void) service_emit(s, "ReceiverRemoved", OTHER, "2@host", "blue");
        (void) service_later(s, 20000, end_wait);
}

static int subscribe_then_emit(Service *s, sd_bus_message *call)
{
        (void) service_later(s, 0, emit_and_end);
        return reply_empty(s, call);
}

static void test_monitor(void **state)
{
        static const ServiceMethods methods[] = {{"Subscribe", subscribe_then_emit}, {}};
        static const ServiceMethods denied[] = {{"Subscribe", reply_denied}, {}};
        char *rest;
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "monitor"), EXIT_OK);
        assert_string_equal(r.capture.err, "Showing events; Ctrl-C ends it.\n");
        rest = r.capture.out;
        assert_contains(strsep(&rest, "\n"), "  " ID "  failed        1@host  attempt 2  exit status 1");
        assert_contains(strsep(&rest, "\n"), "  " OTHER "  receiver      2@host");
        assert_contains(strsep(&rest, "\n"), "  " OTHER "  receiver gone  2@host");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "monitor", "--json=short"), EXIT_OK);
        assert_contains(r.capture.out,
                        "{\"id\":\"" ID "\",\"event\":\"failed\",\"attempt\":2,\"receiver\":\"1@host\","
                        "\"detail\":\"exit status 1\",\"time\":");
        run_clear(&r);
        assert_int_equal(RUN(&r, denied, NULL, "monitor"), EXIT_FAILED);
        run_clear(&r);
}

static void test_dialogue(void **state)
{
        static const ServiceMethods methods[] = {
                        {"ListReceivers", reply_receivers}, {"Send", reply_sent}, {"Wait", wait_acked}, {}};
        static const ServiceMethods none[] = {{}};
        static const char *const words[] = {"--system", NULL};
        int master, slave;
        Run r = {};

        /* The dialogue needs a terminal to read from. */
        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        __fpurge(stdin);
        clearerr(stdin);
        assert_true(dup2(slave, STDIN_FILENO) >= 0);
        static const char typed[] = "9\n\n1\nhello there\na\nwhoever\nr\nq\n";
        assert_int_equal(write_all(master, typed, sizeof typed - 1), 0);
        r.c.out_is_terminal = true;
        assert_int_equal(run_words(&r, methods, NULL, words), EXIT_OK);
        assert_contains(r.capture.out,
                        "\n2 receivers:\n\n    1  1                         blue              connected\n"
                        "    2  2                                           idle, plain text\n"
                        "    a  any one of them\n    r  look again\n    q  leave\n\nReceiver: ");
        assert_contains(r.capture.out, "There is no \"9\" in the list.\n");
        assert_contains(r.called, "Send to|" ID "|hello there|\n");
        assert_contains(r.called, "Send any||whoever|\n");
        run_clear(&r);
        assert_int_equal(write_all(master, "1\n\004", 3), 0);
        r.c.out_is_terminal = true;
        assert_int_equal(run_words(&r, methods, NULL, words), EXIT_OK);
        assert_contains(r.capture.out, "Message: \n");
        run_clear(&r);
        r.c.out_is_terminal = true;
        assert_int_equal(run_words(&r, none, NULL, words), EXIT_FAILED);
        run_clear(&r);
        (void) close(master);
        (void) close(slave);
        capture_set_input("");
}

static void test_answers_that_cannot_be_read(void **state)
{
        static const ServiceMethods methods[] = {{"ListReceivers", reply_nonsense},
                        {"ListMessages", reply_nonsense}, {"GetAll", reply_nonsense},
                        {"GetMessage", reply_message}, {"Explain", reply_nonsense}, {}};
        static const char *const words[][3] = {{"list"}, {"messages"}, {"status"}, {"show", "5f0c1a"},
                        {"why", "5f0c1a"}, {"send", "--any", "--lines"}};
        Run r = {};

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                assert_int_equal(RUN(&r, methods, NULL, words[i][0], words[i][1], words[i][2]), EXIT_FAILED);
                run_clear(&r);
        }
}

static void test_no_client(void **state)
{
        static const ServiceMethods away[] = {{"Ping", reply_gone}, {"ListReceivers", reply_gone}, {}};
        static const ServiceMethods here[] = {
                        {"ListReceivers", reply_receivers}, {"GetAll", reply_properties}, {}};
        static const char *const words[] = {"list", NULL};
        Run r = {};

        /* Neither bus has one: the system's is told about. */
        assert_int_equal(run_words(&r, away, NULL, words), EXIT_FAILED);
        assert_contains(r.capture.err, "the client stops");
        run_clear(&r);
        assert_int_equal(run_words(&r, here, (void *) "reachable", words), EXIT_OK);
        run_clear(&r);
        static const char *const user[] = {"--user", "list", NULL};
        assert_int_equal(run_words(&r, here, NULL, user), EXIT_NO_SERVICE);
        assert_contains(r.capture.err, "cannot connect to the session bus");
        run_clear(&r);
}

static void test_output_is_full(void **state)
{
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {}};
        Service *s = service_start(methods, NULL);
        char *argv[] = {(char *) "ackctl", (char *) "--system", (char *) "send", (char *) "--any",
                        (char *) "--no-wait", (char *) "x", NULL};
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC), code;
        Capture capture = {.terminal = -1, .files = {memfd_create("out", MFD_CLOEXEC), err}};
        Ctl c = {};

        capture_redirect(&capture, full, err);
        code = ctl_run(&c, ELEMENTSOF(argv) - 1, argv);
        __fpurge(stdout);
        capture_end(&capture);
        free(service_stop(s));
        assert_int_equal(code, EXIT_FAILED);
        assert_contains(capture.err, "cannot write the output: No space left");
        capture_clear(&capture);
        (void) close(full);
}

static void test_agent(void **state)
{
        char directory[] = "/tmp/test-ctl-XXXXXX";
        _cleanup_free_ char *program = NULL, *before = strdup(getenv("PATH"));
        pid_t pid;
        FILE *f;

        assert_non_null(mkdtemp(directory));
        assert_int_equal(setenv("PATH", directory, 1), 0);
        assert_int_equal(agent_start(), -ENOENT);
        program = str_format("%s/pkttyagent", directory);
        f = fopen(program, "we");
        fputs("#!/bin/sh\n[ \"$1 $3\" = '--notify-fd --fallback' ] || exit 1\neval \"exec $2>&-\"\n"
              "while :; do /bin/sleep 1; done\n",
                        f);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(program, 0755), 0);
        pid = agent_start();
        assert_true(pid > 0);
        assert_int_equal(kill(pid, 0), 0);
        agent_stop(pid);
        assert_int_equal(kill(pid, 0), -1);
        agent_stop(0);
        assert_int_equal(setenv("PATH", before, 1), 0);
        (void) unlink(program);
        (void) rmdir(directory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_list),
                        cmocka_unit_test(test_status),
                        cmocka_unit_test(test_messages),
                        cmocka_unit_test(test_show),
                        cmocka_unit_test(test_trace),
                        cmocka_unit_test(test_why),
                        cmocka_unit_test(test_cancel_and_drain),
                        cmocka_unit_test(test_dead),
                        cmocka_unit_test(test_send_shows_the_steps),
                        cmocka_unit_test(test_send_no_wait),
                        cmocka_unit_test(test_send_payloads),
                        cmocka_unit_test(test_send_mistakes),
                        cmocka_unit_test(test_ends),
                        cmocka_unit_test(test_client_is_restarted),
                        cmocka_unit_test(test_quiet_and_interrupt),
                        cmocka_unit_test(test_timeout),
                        cmocka_unit_test(test_monitor),
                        cmocka_unit_test(test_dialogue),
                        cmocka_unit_test(test_answers_that_cannot_be_read),
                        cmocka_unit_test(test_no_client),
                        cmocka_unit_test(test_output_is_full),
                        cmocka_unit_test(test_agent),
        };

        run_prepare();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
