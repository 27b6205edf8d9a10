/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>

#include "ctl-replies.h"

#include "ctl/agent.h"

static void test_list(void **state)
{
        static const ServiceMethods methods[] = {
                        {"FindReceivers", reply_receivers}, {"GetAll", reply_properties}, {}};
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
        assert_contains(r.called, "FindReceivers limit=1000,after=,group=blue,label=zone=a\n");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, (void *) "reachable", "list", "--json=short"), EXIT_OK);
        assert_contains(r.capture.out,
                        "[{\"id\":\"" ID "\",\"name\":\"1\",\"group\":\"blue\",\"labels\":{\"zone\":\"a\"},"
                        "\"addresses\":[\"unix:/run/"
                        "1.sock\"],\"state\":\"connected\",\"bound\":3,\"plain\":false},");
        assert_string_equal(r.capture.err, "");
        assert_string_equal(r.called, "FindReceivers limit=1000,after=\n");
        run_clear(&r);
}

static int reply_unsorted(Service *s, sd_bus_message *call)
{
        return sd_bus_reply_method_return(call, "a(sssa{ss}assub)s", 3, ID, "10@ant", "", 0, 0, "idle", 0,
                        false, OTHER, "9@ant", "", 0, 0, "idle", 0, false, ID, "1@bee", "", 0, 0, "idle", 0,
                        false, "");
}

static void test_list_in_natural_order(void **state)
{
        static const ServiceMethods methods[] = {
                        {"FindReceivers", reply_unsorted}, {"GetAll", reply_properties}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, (void *) "reachable", "list", "--no-legend"), EXIT_OK);
        assert_string_equal(r.capture.out, "1@bee   -  idle  0  " ID "  -  -\n"
                                           "9@ant   -  idle  0  " OTHER "  -  -\n"
                                           "10@ant  -  idle  0  " ID "  -  -\n");
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
        assert_int_equal(RUN(&r, methods, (void *) "reachable", "status", "--json=short"), EXIT_OK);
        assert_string_equal(r.capture.out, "{\"version\":\"0.1.0\",\"discovery_state\":\"reachable\","
                                           "\"waiting\":7,\"bus\":\"system\"}\n");
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
        assert_int_equal(RUN(&r, methods, NULL, "show", "--json=short", "5f0c1a"), EXIT_OK);
        assert_contains(r.capture.out,
                        "{\"id\":\"" ID "\",\"state\":\"sent\",\"mode\":\"to\",\"attempts\":2,"
                        "\"receiver\":\"1@host\",\"error\":\"exit status 1\",");
        run_clear(&r);
}

static void test_trace(void **state)
{
        static const ServiceMethods methods[] = {PROPERTIES, {"FindDeliveries", reply_deliveries},
                        {"ListAttempts", reply_attempts}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, (void *) "gathering all", "trace", "5f0c1a"), EXIT_OK);
        assert_string_equal(r.capture.out,
                        "SENT                 RECEIVER  ATTEMPT  OUTCOME  TOOK      DETAIL\n"
                        "2030-03-17 17:46:40  1@host          1  acked    2s 500ms  the reply is cut\n"
                        "2030-03-17 17:46:40  3@host          1  sent     -         -\n"
                        "2030-03-17 17:46:41  2@host          1  no-ack   250ms     in time\n"
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
                        "\"ended\":1900000002500000,\"outcome\":\"acked\",\"detail\":\"the reply is cut\"}");
        assert_contains(r.capture.out, "{\"member\":3,");
        run_clear(&r);
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
        assert_contains(r.capture.err,
                        "ackctl: 111111: No message has this id; \"ackctl messages\" shows them\n");
        assert_contains(r.capture.err, "ackctl: 222222: No message has this id; ");
        run_clear(&r);
        assert_int_equal(RUN(&r, bad, NULL, "cancel", "111111"), EXIT_NOT_FOUND);
        assert_contains(r.capture.err, "ackctl: No message has this id; ");
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

/* A page of 1000 messages, and one that fails. */
static int fail_later(Service *s, sd_bus_message *call)
{
        unsigned *pages = s->userdata;

        return (*pages)++ == 0 ? sd_bus_reply_method_return(call, "us", 1000u, "99")
                               : sd_bus_reply_method_errorf(call, "org.ackgroup.Error.Storage",
                                                 "After 3 messages: the disk is full");
}

/* Two pages, of 1000 messages and of 7. */
static int reply_many(Service *s, sd_bus_message *call)
{
        unsigned *pages = s->userdata;
        const bool is_first = (*pages)++ == 0;

        return sd_bus_reply_method_return(call, "us", is_first ? 1000u : 7u, is_first ? "99" : "");
}

static void test_dead(void **state)
{
        static const ServiceMethods methods[] = {PROPERTIES, {"ListMessages", reply_dead},
                        {"RetryMany", reply_many}, {"PurgeMany", reply_many}, {"Retry", reply_empty},
                        {"Purge", reply_empty}, {}};
        Run r = {};

        assert_int_equal(RUN(&r, methods, NULL, "dead"), EXIT_OK);
        assert_contains(r.called, "limit=100,after=,states=rejected,dead\n");
        assert_contains(r.capture.out, "\n2 messages.\n");
        run_clear(&r);
        unsigned pages = 0;
        assert_int_equal(RUN(&r, methods, &pages, "dead", "retry", "--all"), EXIT_OK);
        assert_string_equal(r.called, "RetryMany limit=1000,after=,states=rejected,dead\n"
                                      "RetryMany limit=1000,after=99,states=rejected,dead\n");
        assert_string_equal(r.capture.out, "1007 messages.\n");
        run_clear(&r);
        static const ServiceMethods failing[] = {PROPERTIES, {"RetryMany", fail_later}, {}};
        pages = 0;
        assert_int_equal(RUN(&r, failing, &pages, "dead", "retry", "--all"), EXIT_FAILED);
        assert_string_equal(r.capture.out, "1000 messages.\n");
        assert_contains(r.capture.err, "After 3 messages: the disk is full");
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
        assert_int_equal(RUN(&r, methods, &pages, "dead", "purge", "--all", "--no-legend"), EXIT_OK);
        assert_string_equal(r.called, "PurgeMany limit=1000,after=,states=rejected,dead\n");
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

static void test_answers_that_cannot_be_read(void **state)
{
        static const ServiceMethods methods[] = {{"FindReceivers", reply_nonsense},
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
        static const ServiceMethods away[] = {{"Ping", reply_gone}, {"FindReceivers", reply_gone}, {}};
        static const ServiceMethods here[] = {
                        {"FindReceivers", reply_receivers}, {"GetAll", reply_properties}, {}};
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
                        cmocka_unit_test(test_list_in_natural_order),
                        cmocka_unit_test(test_status),
                        cmocka_unit_test(test_messages),
                        cmocka_unit_test(test_show),
                        cmocka_unit_test(test_trace),
                        cmocka_unit_test(test_why),
                        cmocka_unit_test(test_cancel_and_drain),
                        cmocka_unit_test(test_dead),
                        cmocka_unit_test(test_answers_that_cannot_be_read),
                        cmocka_unit_test(test_no_client),
                        cmocka_unit_test(test_output_is_full),
                        cmocka_unit_test(test_agent),
        };

        run_prepare();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
