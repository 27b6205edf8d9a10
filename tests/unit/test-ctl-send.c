/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* send, wait, monitor and the dialogue: what follows a message to its end. */
#include <signal.h>

#include "ctl-replies.h"

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
        static const ServiceMethods methods[] = {
                        {"Send", send_with_events}, {"WaitForEnd", wait_with_events}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "send", "--any", "--group", "blue", "--priority=5", "hello"),
                        EXIT_OK);
        assert_string_equal(r.called, "Send any|blue|hello|priority=5\nWaitForEnd " ID "|0\n");
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
                        "\"reply\":\"the reply\",\"reply_cut\":false,\"error\":\"\"}\n");
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
                        {{"send", "x"}, "give one of --to RECEIVER, --any"},
                        {{"send", "--to=1", "--all", "x"}, "give only one of --to RECEIVER, --any"},
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
        static const ServiceMethods dead[] = {PROPERTIES, {"WaitForEnd", wait_dead}, {}};
        static const ServiceMethods several[] = {PROPERTIES, {"WaitForEnd", wait_acked},
                        {"DescribeDeliveries", reply_deliveries}, {}};
        static const ServiceMethods missing[] = {{"GetMessage", reply_no_message}, {}};
        static const ServiceMethods refused[] = {PROPERTIES, {"WaitForEnd", reply_no_message}, {}};
        static const ServiceMethods nonsense[] = {PROPERTIES, {"WaitForEnd", reply_nonsense}, {}};
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
        assert_contains(r.capture.err,
                        "cut           the reply of 1@host is cut to 2 bytes; the rest is lost\n");
        run_clear(&r);
        assert_int_equal(
                        RUN(&r, several, (void *) "sent quorum", "wait", "--json=short", "5f0c1a"), EXIT_OK);
        assert_contains(r.capture.out,
                        "\"replies\":[{\"receiver\":\"1@host\",\"reply\":\"ok\",\"reply_cut\":true},"
                        "{\"receiver\":\"3@host\",\"reply\":[255],\"reply_cut\":false}]}");
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

static int wait_older(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "susays", "acked", 1, "1@host", 2, 'o', 'k', "");
}

static int list_older(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssutttsay)", 1, ID, "1@host", "acked", 1,
                        UINT64_C(1900000000000000), UINT64_C(1900000002500000), UINT64_C(0), "", 2, 'o',
                        'k');
}

static int receivers_older(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(
                        call, "a(sssa{ss}assub)", 1, ID, "1@host", "blue", 0, 0, "idle", 0, false);
}

static int messages_older(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssssuttts)s", 1, ID, "to", "1", "dead", "1@host", 3,
                        UINT64_C(1), UINT64_C(2), UINT64_C(5), "", "");
}

/* A client on another host may be older than this program. */
static void test_older_client(void **state)
{
        static const ServiceMethods methods[] = {PROPERTIES, {"Wait", wait_older},
                        {"ListDeliveries", list_older}, {"ListReceivers", receivers_older},
                        {"ListMessages", messages_older}, {"Retry", reply_empty}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, (void *) "sent to", "wait", "5f0c1a"), EXIT_OK);
        assert_string_equal(r.capture.out, "ok");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "sent all", "wait", "--json=short", "5f0c1a"), EXIT_OK);
        assert_contains(r.capture.out,
                        "\"receiver\":\"1@host\",\"reply\":\"ok\",\"error\":\"\",\"replies\":[");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "dead", "retry", "--all"), EXIT_OK);
        assert_contains(r.called, "Retry " ID "\n");
        assert_string_equal(r.capture.out, "1 message.\n");
        assert_string_equal(r.capture.err, "");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "list"), EXIT_OK);
        assert_contains(r.capture.out, "1@host  blue");
        assert_contains(r.capture.out, "\n1 receiver.\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, NULL, "cancel", ID), EXIT_FAILED);
        assert_contains(r.capture.err, "the client is older, and has no method Cancel");
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
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {"WaitForEnd", wait_away_first}, {}};
        unsigned n = 0;
        Run r = {};

        assert_int_equal(RUN(&r, methods, &n, "send", "--any", "x"), EXIT_OK);
        assert_int_equal(n, 3);
        assert_string_equal(r.capture.err,
                        "waiting       the client does not run; the message is on its disk; asking again\n"
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
        static const ServiceMethods methods[] = {{"Send", reply_sent}, {"WaitForEnd", wait_for_ever},
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
                        PROPERTIES, {"Send", reply_sent}, {"WaitForEnd", wait_for_ever}, {}};
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
        static const ServiceMethods methods[] = {{"FindReceivers", reply_receivers}, {"Send", reply_sent},
                        {"WaitForEnd", wait_acked}, {}};
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_send_shows_the_steps),
                        cmocka_unit_test(test_send_no_wait),
                        cmocka_unit_test(test_send_payloads),
                        cmocka_unit_test(test_send_mistakes),
                        cmocka_unit_test(test_ends),
                        cmocka_unit_test(test_older_client),
                        cmocka_unit_test(test_client_is_restarted),
                        cmocka_unit_test(test_quiet_and_interrupt),
                        cmocka_unit_test(test_timeout),
                        cmocka_unit_test(test_monitor),
                        cmocka_unit_test(test_dialogue),
        };

        run_prepare();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
