/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods about messages. */

#include "bus-fixture.h"

#include <stdlib.h>

#include "base/str-util.h"
#include "base/time-util.h"

static int new_fixture(void **state)
{
        *state = fixture_new(false);
        return 0;
}

static int free_fixture(void **state)
{
        fixture_free(*state);
        return 0;
}

static void done(sd_bus_message *m)
{
        sd_bus_message_unref(m);
}

static void test_get_message(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "jobs", "x");
        _cleanup_free_ char *path = path_of(f, id);
        char prefix[9] = {};

        memcpy(prefix, id, 8);
        _cleanup_free_ char *same = path_of(f, prefix);
        assert_string_equal(path, same);
        FAILS(f, "NoSuchMessage", "No message \"00000000\"", "GetMessage", "s", "00000000");
        FAILS(f, "InvalidArgument", "\"12345\" is neither a message id", "GetMessage", "s", "12345");
        FAILS(f, "InvalidArgument", "\"xyzxyz\"", "GetMessage", "s", "xyzxyz");
}

static unsigned count_messages(Fixture *f, sd_bus_message *m, const char **ret_next)
{
        const char *id, *mode, *target, *end, *receiver, *error;
        uint64_t accepted, settled, size;
        uint32_t attempts;
        unsigned n = 0;

        assert_true(sd_bus_message_enter_container(m, 'a', "(sssssuttts)") > 0);
        while (sd_bus_message_read(m, "(sssssuttts)", &id, &mode, &target, &end, &receiver, &attempts,
                               &accepted, &settled, &size, &error) > 0) {
                assert_int_equal(strlen(id), 36);
                assert_true(accepted > 0);
                n++;
        }
        assert_true(sd_bus_message_exit_container(m) >= 0);
        assert_true(sd_bus_message_read(m, "s", ret_next) > 0);
        return n;
}

static void test_list_messages(void **state)
{
        Fixture *f = *state;
        const char *next;
        sd_bus_message *m, *page;

        for (unsigned i = 0; i < 5; i++)
                free(send_text(f, "any", i < 3 ? "nobody" : "jobs", i < 4 ? "x" : "hold"));
        m = CALL(f, "ListMessages", "a{sv}", 0);
        assert_int_equal(count_messages(f, m, &next), 5);
        assert_string_equal(next, "");
        done(m);

        m = CALL(f, "ListMessages", "a{sv}", 1, "limit", "u", 3);
        assert_int_equal(count_messages(f, m, &next), 3);
        assert_string_not_equal(next, "");
        page = CALL(f, "ListMessages", "a{sv}", 2, "limit", "u", 3, "after", "s", next);
        assert_int_equal(count_messages(f, page, &next), 2);
        assert_string_equal(next, "");
        done(page);
        done(m);

        m = CALL(f, "ListMessages", "a{sv}", 1, "states", "as", 2, "queued", "delayed");
        assert_int_equal(count_messages(f, m, &next), 3);
        done(m);
        m = CALL(f, "ListMessages", "a{sv}", 2, "states", "as", 1, "dead", "after", "s", "");
        assert_int_equal(count_messages(f, m, &next), 0);
        done(m);

        FAILS(f, "InvalidArgument", "there is no state \"lost\"", "ListMessages", "a{sv}", 1, "states", "as",
                        1, "lost");
        FAILS(f, "InvalidArgument", "limit: from 1 to 1000", "ListMessages", "a{sv}", 1, "limit", "u", 0);
        FAILS(f, "InvalidArgument", "after: not the", "ListMessages", "a{sv}", 1, "after", "s", "x");
        FAILS(f, "InvalidArgument", "Filter \"limit\" is of the wrong type", "ListMessages", "a{sv}", 1,
                        "limit", "s", "3");
        FAILS(f, "InvalidArgument", "Filter \"colour\" is not known", "ListMessages", "a{sv}", 1, "colour",
                        "s", "red");
}

static void test_list_deliveries(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *one = send_text(f, "any", "jobs", "x"), *all = send_text(f, "all", "", "x");
        _cleanup_free_ char *to = send_text(f, "to", "22222222-2222-4222-8222-222222222222", "x");
        _cleanup_free_ char *named = send_text(f, "to", "2@there", "x");
        const char *ids[] = {one, all, to, named}, *receiver;
        const unsigned expected[] = {1, 3, 1, 1};

        assert_end(f, one, "acked");
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                sd_bus_message *m = CALL(f, "ListDeliveries", "s", ids[i]);
                unsigned n = 0;

                assert_true(sd_bus_message_enter_container(m, 'a', "(sssutttsay)") > 0);
                while (sd_bus_message_enter_container(m, 'r', "sssutttsay") > 0) {
                        assert_true(sd_bus_message_read(m, "s", &receiver) > 0);
                        assert_int_equal(strlen(receiver), ids[i] == named ? 0 : 36); /* it is not sent */
                        assert_true(sd_bus_message_skip(m, "ssutttsay") > 0);
                        assert_true(sd_bus_message_exit_container(m) > 0);
                        n++;
                }
                assert_int_equal(n, expected[i]);
                done(m);
        }
        FAILS(f, "NoSuchMessage", "", "ListDeliveries", "s", "00000000");
}

/* Names of the receivers of a page, and its "next". */
static void assert_page(sd_bus_message *m, unsigned n, const char *next)
{
        const char *found;

        assert_true(sd_bus_message_enter_container(m, 'a', "a{sv}") > 0);
        for (; n > 0; n--)
                assert_true(sd_bus_message_skip(m, "a{sv}") > 0);
        assert_true(sd_bus_message_at_end(m, false) > 0);
        assert_true(sd_bus_message_exit_container(m) > 0);
        assert_true(sd_bus_message_read(m, "s", &found) > 0);
        assert_string_equal(found, next);
        done(m);
}

static void test_find_deliveries(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *one = send_text(f, "any", "jobs", "x"), *all = send_text(f, "all", "", "x");

        assert_end(f, one, "acked");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", one, 0), 1, "");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", one, 1, "after", "s", "1"), 0, "");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", all, 0), 3, "");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", all, 1, "limit", "u", 2), 2, "2");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", all, 2, "limit", "u", 2, "after", "s", "2"), 1, "");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", all, 1, "limit", "u", 3), 3, "3");
        assert_page(CALL(f, "FindDeliveries", "sa{sv}", all, 1, "after", "s", "3"), 0, "");
        FAILS(f, "InvalidArgument", "limit: from 1 to 256", "FindDeliveries", "sa{sv}", all, 1, "limit", "u",
                        257);
        FAILS(f, "InvalidArgument", "after", "FindDeliveries", "sa{sv}", all, 1, "after", "s", "x");
        FAILS(f, "NoSuchMessage", "", "FindDeliveries", "sa{sv}", "00000000", 0);
}

static void test_list_attempts(void **state)
{
        Fixture *f = *state;
        const char *id, *receiver, *outcome, *detail;
        uint32_t member, attempt;
        uint64_t sent, ended;
        sd_bus_message *sent_message, *m;

        sent_message = CALL(f, "SendText", "sssa{sv}", "to", RECEIVER, "fail", 2, "max_attempts", "t",
                        UINT64_C(2), "backoff", "t", UINT64_C(0));
        assert_true(sd_bus_message_read(sent_message, "s", &id) > 0);
        assert_end(f, id, "dead");
        m = CALL(f, "ListAttempts", "s", id);
        assert_true(sd_bus_message_enter_container(m, 'a', "(usuttss)") > 0);
        for (unsigned i = 1; i <= 2; i++) {
                assert_true(sd_bus_message_read(m, "(usuttss)", &member, &receiver, &attempt, &sent, &ended,
                                            &outcome, &detail) > 0);
                assert_int_equal(member, 0);
                assert_string_equal(receiver, "1@here");
                assert_int_equal(attempt, i);
                assert_true(sent > 0 && ended >= sent);
                assert_string_equal(outcome, "failed");
                assert_string_equal(detail, "did not work");
        }
        assert_true(sd_bus_message_at_end(m, 0) > 0);
        done(m);
        done(sent_message);
}

static void test_explain(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *acked = send_text(f, "any", "jobs", "x"),
                            *queued = send_text(f, "any", "no", "x");
        const char *why, *advice;
        sd_bus_message *m;

        assert_end(f, acked, "acked");
        m = CALL(f, "Explain", "s", acked);
        assert_true(sd_bus_message_read(m, "ss", &why, &advice) > 0);
        assert_string_equal(why, "It is done: acked by 1@here.");
        assert_string_equal(advice, "");
        done(m);
        m = CALL(f, "Explain", "s", queued);
        assert_true(sd_bus_message_read(m, "ss", &why, &advice) > 0);
        assert_string_equal(why, "No receiver of group no is there.");
        done(m);
        FAILS(f, "NoSuchMessage", "", "Explain", "s", "00000000");
}

/* More reads than may run at once. */
static void test_reads_in_turn(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "jobs", "x");
        Answer lists[20], attempts[20];

        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                start_call(f, lists + i, "ListMessages", "a{sv}", 0);
                start_call(f, attempts + i, "ListAttempts", "s", id);
        }
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                done(finish(f, lists + i));
                done(finish(f, attempts + i));
        }
}

static void test_too_many_reads(void **state)
{
        Fixture *f = *state;
        Answer lists[200] = {};
        unsigned n_refused = 0;

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                start_call(f, lists + i, "ListMessages", "a{sv}", 0);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                UNTIL(f, lists[i].done);
                n_refused += sd_bus_message_is_method_error(lists[i].m, SD_BUS_ERROR_LIMITS_EXCEEDED);
                sd_bus_message_unref(lists[i].m);
        }
        assert_true(n_refused < ELEMENTSOF(lists) - 60);
        assert_int_equal(f->bus.read.n_running, 0);
}

static void test_wait(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "jobs", "hold");
        Answer a, timed_out, gone;

        FAILS(f, "Timeout", "Not done yet", "Wait", "st", id, UINT64_C(1000));
        FAILS(f, "NoSuchMessage", "", "Wait", "st", "00000000", UINT64_C(0));
        FAILS(f, "InvalidArgument", "", "Wait", "st", "1", UINT64_C(0));

        /* Two that wait, and one whose caller leaves. */
        start_call(f, &a, "Wait", "st", id, 3600 * USEC_PER_SEC);
        start_call(f, &timed_out, "Wait", "st", id, UINT64_C(20000));
        f->sender = ":1.8";
        start_call(f, &gone, "Wait", "st", id, UINT64_C(0));
        f->sender = CALLER;
        UNTIL(f, f->bus.wait.n_counted == 3);
        leave(f, ":1.8");
        UNTIL(f, f->bus.wait.n_counted == 2);
        finish_failed(f, &timed_out, "Timeout", "");
        assert_false(gone.done);
        assert_int_equal(f->bus.wait.n_counted, 1);

        done(CALL(f, "Cancel", "s", id));
        done(finish(f, &a));
        assert_end(f, id, "cancelled");
}

/* Their look-up on disk ends before or after that. */
static void test_callers_leave_at_once(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "nobody", "x");
        char prefix[9] = {}, name[16];
        Answer answers[50], stays;

        memcpy(prefix, id, 8);
        start_call(f, &stays, "Wait", "st", id, UINT64_C(0));
        UNTIL(f, f->bus.callers.told);
        for (unsigned i = 0; i < ELEMENTSOF(answers); i++) {
                (void) snprintf(name, sizeof name, ":3.%u", i);
                f->sender = name;
                start_call(f, answers + i, "Wait", "st", prefix, UINT64_C(0));
                leave(f, name);
        }
        f->sender = CALLER;
        done(CALL(f, "Explain", "s", id)); /* behind all of them */
        UNTIL(f, f->bus.wait.n_counted == 1);
        done(CALL(f, "Cancel", "s", id));
        done(finish(f, &stays));
        assert_null(f->bus.callers.by_name);
}

static void test_too_many_waits(void **state)
{
        enum { N = 1025 };
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "nobody", "x");
        Answer *waits = calloc(N, sizeof *waits);

        for (unsigned i = 0; i < N; i++)
                start_call(f, waits + i, "Wait", "st", id, UINT64_C(0));
        finish_failed(f, waits + N - 1, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many calls are waiting");
        done(CALL(f, "Cancel", "s", id));
        for (unsigned i = 0; i < N - 1; i++)
                done(finish(f, waits + i));
        assert_null(f->bus.wait.all);
        free(waits);
}

static void test_cancel(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *queued = send_text(f, "any", "nobody", "x"),
                            *acked = send_text(f, "any", "jobs", "x");

        done(CALL(f, "Cancel", "s", queued));
        assert_end(f, queued, "cancelled");
        FAILS(f, "AlreadySettled", "cancelled already", "Cancel", "s", queued);
        assert_end(f, acked, "acked");
        FAILS(f, "AlreadySettled", "acked already", "Cancel", "s", acked);
        FAILS(f, "NoSuchMessage", "", "Cancel", "s", "00000000");
}

static void test_retry_and_purge(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "jobs", "reject"),
                            *queued = send_text(f, "any", "no", "x");
        Answer first, second, third;

        assert_end(f, id, "rejected");
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "DeadLetters", "1");
        FAILS(f, "NotDead", "is queued, not a dead letter", "Retry", "s", queued);
        FAILS(f, "NotDead", "not at its end yet", "Purge", "s", queued);
        FAILS(f, "NoSuchMessage", "", "Retry", "s", "00000000");

        done(CALL(f, "Retry", "s", id));
        assert_end(f, id, "rejected");

        start_call(f, &first, "Purge", "s", id);
        start_call(f, &second, "Purge", "s", id);
        start_call(f, &third, "Retry", "s", id);
        done(finish(f, &first));
        finish_failed(f, &second, "NoSuchMessage", "");
        finish_failed(f, &third, "NoSuchMessage", "");
        FAILS(f, "NoSuchMessage", "No message", "GetMessage", "s", id);
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "DeadLetters", "0");
}

static uint32_t done_of(sd_bus_message *m, char next[static 32])
{
        const char *text;
        uint32_t n;

        assert_true(sd_bus_message_read(m, "us", &n, &text) > 0);
        (void) snprintf(next, 32, "%s", text);
        sd_bus_message_unref(m);
        return n;
}

/* Five dead letters, and one that is acked. */
static void test_many(void **state)
{
        Fixture *f = *state;
        char next[32] = "";

        for (unsigned i = 0; i < 6; i++) {
                _cleanup_free_ char *id = send_text(f, "any", "jobs", i == 3 ? "x" : "reject");

                assert_end(f, id, i == 3 ? "acked" : "rejected");
        }
        UNTIL(f, f->client.messages.n_dead == 5);
        assert_int_equal(done_of(CALL(f, "RetryMany", "a{sv}", 1, "limit", "u", 2), next), 2);
        assert_string_not_equal(next, "");
        assert_int_equal(
                        done_of(CALL(f, "RetryMany", "a{sv}", 2, "limit", "u", 3, "after", "s", next), next),
                        3);
        UNTIL(f, f->client.messages.n_dead == 5); /* they were rejected again */
        assert_int_equal(f->client.messages.n_attempts, 11);
        assert_int_equal(done_of(CALL(f, "PurgeMany", "a{sv}", 0), next), 5);
        assert_string_equal(next, "");
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "DeadLetters", "0");
        assert_int_equal(done_of(CALL(f, "PurgeMany", "a{sv}", 1, "states", "as", 1, "acked"), next), 1);
        assert_int_equal(done_of(CALL(f, "RetryMany", "a{sv}", 0), next), 0);
        FAILS(f, "InvalidArgument", "states: only", "RetryMany", "a{sv}", 1, "states", "as", 1, "acked");
        FAILS(f, "InvalidArgument", "states: only", "PurgeMany", "a{sv}", 1, "states", "as", 1, "queued");
        FAILS(f, "InvalidArgument", "states: there is none", "PurgeMany", "a{sv}", 1, "states", "as", 0);
        FAILS(f, "InvalidArgument", "limit: from 1", "PurgeMany", "a{sv}", 1, "limit", "u", 0);
}

static void test_drain(void **state)
{
        Fixture *f = *state;

        done(CALL(f, "Drain", "sb", RECEIVER, 1));
        done(CALL(f, "Drain", "sb", RECEIVER_ID, 0));
        f->drain_status = 404;
        FAILS(f, "NoSuchReceiver", "Discovery does not list", "Drain", "sb", RECEIVER, 1);
        f->drain_status = 403;
        FAILS(f, "Discovery", "Discovery refuses (HTTP status 403)", "Drain", "sb", RECEIVER, 1);
        FAILS(f, "NoSuchReceiver", "No receiver \"9\"", "Drain", "sb", "9", 1);
        FAILS(f, "AmbiguousReceiver", "No receiver \"2\" is known on host here", "Drain", "sb", AMBIGUOUS,
                        1);
        end_discovery(f);
        FAILS(f, "Discovery", "Discovery does not answer", "Drain", "sb", RECEIVER, 1);
}

/* What waits when the client stops is answered. */
static void test_stop(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *id = send_text(f, "any", "nobody", "x");
        Answer wait, drain, send, lists[20];

        start_call(f, &wait, "Wait", "st", id, UINT64_C(0));
        UNTIL(f, f->bus.wait.n_counted == 1);
        f->drain_status = 0;
        start_call(f, &drain, "Drain", "sb", RECEIVER, 1);
        UNTIL(f, f->n_drains == 1);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                start_call(f, lists + i, "ListMessages", "a{sv}", 0);
        start_call(f, &send, "SendText", "sssa{sv}", "any", "nobody", "y", 0);
        UNTIL(f, f->client.submit.n_bytes > 0);
        fixture_stop(f);
        finish_failed(f, &drain, "Discovery", "the client stops");
        finish_failed(f, &wait, "Disconnected", "the message stays in its outbox");
        done(finish(f, &send));
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                UNTIL(f, lists[i].done);
                if (sd_bus_message_is_method_error(lists[i].m, NULL))
                        assert_true(sd_bus_message_is_method_error(
                                        lists[i].m, "org.ackgroup.Error.Storage"));
                sd_bus_message_unref(lists[i].m);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_get_message),
                        TEST(test_list_messages),
                        TEST(test_list_deliveries),
                        TEST(test_find_deliveries),
                        TEST(test_list_attempts),
                        TEST(test_explain),
                        TEST(test_reads_in_turn),
                        TEST(test_too_many_reads),
                        TEST(test_wait),
                        TEST(test_callers_leave_at_once),
                        TEST(test_too_many_waits),
                        TEST(test_cancel),
                        TEST(test_retry_and_purge),
                        TEST(test_many),
                        TEST(test_drain),
                        TEST(test_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
