/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What comes into the client: submissions, wishes of people, times, and the list of receivers. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

#include <stdio.h>

#include "client/intake/drain.h"
#include "client/intake/explain.h"
#include "client/intake/lookup.h"
#include "client/intake/resolve.h"

static void test_what_is_refused(void **state)
{
        static char key[KEY_MAX_LENGTH + 2];
        Submission s = submission(SELECTOR_TO, "a", "x");

        assert_int_equal(submit(s), -ENOENT);
        assert_non_null(strstr(submit_error.text, "and discovery does not answer"));
        list("ab");
        s.target = "z";
        assert_int_equal(submit(s), -ENOENT);
        assert_string_equal(submit_error_name(-ENOENT), "NoSuchReceiver");
        assert_string_equal(submit_error_name(-EIO), "Storage");
        s.target = "a";
        s.n_labels = 1;
        assert_int_equal(submit(s), -EINVAL);
        s.n_labels = 0;
        s.size = PAYLOAD_DEFAULT_MAX + 1;
        assert_int_equal(submit(s), -EMSGSIZE);
        s.size = 1;
        s.follow = true;
        assert_int_equal(submit(s), -EINVAL);
        s.follow = false;
        memset(key, 'k', sizeof key - 1);
        s.idempotency_key = key;
        assert_int_equal(submit(s), -EINVAL);
        s.idempotency_key = NULL;
        s.mode = SELECTOR_KEY;
        assert_int_equal(submit(s), -EINVAL); /* without a key */
        s.mode = SELECTOR_ANY;
        s.target = "no/group";
        assert_int_equal(submit(s), -EINVAL);
        s.target = "";
        s.policy.deadline_usec = 1;
        assert_int_equal(submit(s), -EINVAL); /* it has passed */
        s.policy.deadline_usec = now_usec(CLOCK_REALTIME) + 5;
        s.delay_usec = 10;
        assert_int_equal(submit(s), -EINVAL); /* before the start */
        c->config.outbox_limit = 0;
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "x")), -EDQUOT);
        assert_int_equal(c->messages.n_open, 0);
        client_stop(c);
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "x")), -ESHUTDOWN);
}

static void test_the_same_key_twice(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");

        list("a");
        s.idempotency_key = "mine";
        assert_int_equal(submit(s), 0);
        sd_id128_t id = last.id;
        assert_int_equal(submit(s), 0);
        assert_int_equal(last.result, 0);
        assert_true(sd_id128_equal(last.id, id));
        assert_int_equal(c->messages.n_open, 1);
        welcome('a', 4);
        (void) expect_message('a', "x");
        expect_nothing('a');
        client_crash();
        assert_int_equal(submit(s), 0);
        assert_true(sd_id128_equal(last.id, id));
}

static void test_a_start_in_the_future(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");

        list("a");
        s.delay_usec = 60 * USEC_PER_SEC;
        assert_int_equal(submit(s), 0);
        sd_id128_t id = last.id;
        assert_state(find(), DELIVERY_DELAYED);
        s.delay_usec = 30 * USEC_PER_SEC;
        s.payload = "earlier", s.size = 7;
        assert_int_equal(submit(s), 0);
        client_crash();
        list("a");
        assert_null(message_find(c, id)); /* it waits on disk */
        pass(31 * USEC_PER_SEC);
        welcome('a', 4);
        MessageFrame f = expect_message('a', "earlier");
        answer('a', &f, OUTCOME_ACKED, "");
        expect_nothing('a');
        pass(31 * USEC_PER_SEC);
        assert_non_null(message_find(c, id));
        (void) expect_message('a', "x");
}

static void test_a_deadline(void **state)
{
        Submission s = submission(SELECTOR_ANY, "", "x");

        c->config.deadline_usec = 10 * USEC_PER_SEC;
        list("");
        assert_int_equal(submit(s), 0);
        Message *m = find();
        pass(16 * USEC_PER_SEC);
        assert_state(m, DELIVERY_DEAD);
        assert_string_equal(m->record.error, "its deadline has passed");
        assert_int_equal(c->messages.n_dead, 1);

        /* One that was sent is asked about. */
        list("a");
        m = send_to("a", "y");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "y");
        for (unsigned i = 0; i < 4; i++) {
                pass(4 * USEC_PER_SEC);
                answer('a', &f, OUTCOME_WORKING, "");
        }
        assert_state(m, DELIVERY_GIVING_UP);
        answer('a', &f, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_DEAD);
}

/* It ends when its receiver is asked. Until then nothing is done about the time that has passed. */
static void test_a_deadline_passes_while_it_is_cancelled(void **state)
{
        c->config.deadline_usec = 10 * USEC_PER_SEC;
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        hang_up('a', 0);
        assert_int_equal(message_cancel(m), 0);
        pass(60 * USEC_PER_SEC);
        assert_state(m, DELIVERY_CANCELLING);
        while (!wire('a'))
                pass(USEC_PER_SEC);
        welcome('a', 4);
        answer('a', &f, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
}

static void test_many_deadlines(void **state)
{
        Submission s = submission(SELECTOR_ANY, "", "x");
        const unsigned n = 600;

        c->config.deadline_usec = 10 * USEC_PER_SEC;
        list("");
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(submit(s), 0);
        pass(16 * USEC_PER_SEC);
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(c->messages.n_dead, n);
}

static struct {
        Message *message;
        int result;
        unsigned n;
} found;

static void on_found(Message *m, int r, void *userdata)
{
        found.message = m;
        found.result = r;
        found.n++;
}

static int look_up(const char *prefix)
{
        unsigned n = found.n;

        message_look_up(c, prefix, on_found, NULL);
        run();
        assert_int_equal(found.n, n + 1);
        return found.result;
}

static void test_looking_up(void **state)
{
        char id[SD_ID128_STRING_MAX], uuid[SD_ID128_UUID_STRING_MAX];

        list("a");
        Message *m = send_to("a", "x");
        sd_id128_to_string(last.id, id);
        assert_int_equal(look_up(sd_id128_to_uuid_string(last.id, uuid)), 0);
        assert_ptr_equal(found.message, m);
        id[8] = '\0';
        assert_int_equal(look_up(id), 0);
        assert_ptr_equal(found.message, m);
        id[5] = '\0';
        assert_int_equal(look_up(id), -EINVAL);
        assert_int_equal(look_up("nothing"), -EINVAL);
        assert_int_equal(look_up("-12345678"), -EINVAL);
        assert_int_equal(look_up("123456789012345678901234567890123"), -EINVAL);
        id[5] = id[6] = id[7] = 'A'; /* as good as certain */
        assert_int_equal(look_up(id), -ENOENT);
        m = NULL;
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
        client_crash();
        assert_null(find());
        assert_int_equal(look_up(uuid), 0); /* from disk */
        assert_state(found.message, DELIVERY_ACKED);
}

static int drained;

static void on_drained(int status, const char *problem, void *userdata)
{
        drained = status;
}

static void test_draining(void **state)
{
        list("ab");
        assert_int_equal(client_drain(c, "z", true, on_drained, NULL), -ENOENT);
        pass(1);
        fake_http_answer(fake_http_request(), -ETIMEDOUT, NULL); /* the list */
        assert_int_equal(client_drain(c, "a", true, on_drained, NULL), 0);
        assert_string_equal(fake_http_request_method(fake_http_request()), "PUT");
        assert_string_equal(fake_http_request_path(fake_http_request()),
                        "/v1/receivers/61000000-0000-0000-0000-000000000000/draining");
        assert_string_equal(fake_http_request_body(fake_http_request()), "{\"draining\": true}");
        fake_http_answer(fake_http_request(), 204, NULL);
        assert_int_equal(drained, 204);
        fake_http_client_fail(ENOMEM);
        assert_int_equal(client_drain(c, "a", false, on_drained, NULL), -ENOMEM);
}

static const char *why(const Message *m)
{
        static Explanation e;

        explain(m, &e);
        return e.why;
}

static void test_explanations(void **state)
{
        Submission s = submission(SELECTOR_ANY, "g", "x");
        const Message *m;

        discovery_fails();
        assert_int_equal(submit(s), 0);
        m = find();
        assert_string_equal(why(m), "Discovery does not answer, and no receiver of group g is known.");
        pass(USEC_PER_SEC);
        list("");
        assert_string_equal(why(m), "No receiver of group g is there.");
        list("a");
        assert_string_equal(why(m), "The client is connecting to a receiver.");
        hang_up('a', -ECONNREFUSED);
        assert_string_equal(
                        why(m), "None of 1 receivers can be reached; a@h: tcp:host:97: Connection refused.");
        list_draining("a", "a");
        assert_string_equal(why(m), "All 1 receivers are draining: they take nothing new.");
        list("a");
        welcome('a', 1);
        pass(2 * USEC_PER_SEC);
        assert_string_equal(why(m), "Receiver a@h has had it for 2s and has not acked it yet.");
        assert_int_equal(submit(s), 0);
        assert_string_equal(why(find()), "All 1 connected receivers are full, and 1 messages wait.");
        const Message *bound = send_to("a", "y");
        assert_string_equal(why(bound), "Receiver a@h is full (1 messages are bound to it).");
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_FAILED, "broken");
        assert_non_null(strstr(why(m), "Attempt 1 at a@h did not succeed (broken); the next one is in "));
        pass(USEC_PER_SEC);
        f = expect_message('a', "y");
        answer('a', &f, OUTCOME_BUSY, "");
        assert_string_equal(why(bound), "Receiver a@h had no room; the client waits until it has.");
        hang_up('a', 0);
        assert_non_null(strstr(
                        why(m), "Receiver a@h cannot be reached: tcp:host:97: closed by the receiver."));
        message_give_up((Message *) m, "enough");
        run();
        assert_string_equal(why(m), "A handler may have begun it, so the client asks a@h for the outcome.");
        assert_int_equal(message_cancel((Message *) bound), 0);
        run();
        assert_non_null(strstr(why(bound), "It is done: cancelled at "));
}

static void test_more_explanations(void **state)
{
        Submission s = submission(SELECTOR_KEY, "", "x");

        list("ab");
        s.key = "k";
        assert_int_equal(submit(s), 0);
        const Message *first = find();
        assert_non_null(strstr(why(first), "cannot be reached"));
        assert_int_equal(submit(s), 0);
        assert_non_null(strstr(why(find()), "An older message of the same key is at "));
        assert_int_equal(submit(submission(SELECTOR_ALL, "", "x")), 0);
        assert_non_null(strstr(why(find()), "0 of 2 receivers have acked; it waits for "));
        s = submission(SELECTOR_TO, "a", "x");
        s.delay_usec = 60 * USEC_PER_SEC;
        assert_int_equal(submit(s), 0);
        assert_non_null(strstr(why(find()), "It is delayed until "));
        list_draining("ab", "a");
        const Message *m = send_to("a", "x");
        welcome('a', 4);
        assert_string_equal(why(m), "Receiver a@h is draining: it takes nothing new.");
}

/* Discovery. */

static void answer_with(int status, const char *json)
{
        pass(1);
        assert_non_null(fake_http_request());
        fake_http_answer(fake_http_request(), status, json);
        run();
}

static void test_discovery_comes_and_goes(void **state)
{
        assert_string_equal(fake_http_request_path(fake_http_request()), "/v1/receivers");
        discovery_fails();
        assert_int_equal(c->discovery_state, DISCOVERY_UNREACHABLE);
        assert_string_equal(discovery_state_to_string(c->discovery_state), "unreachable");
        pass(USEC_PER_SEC);
        list("a");
        assert_int_equal(c->discovery_state, DISCOVERY_REACHABLE);
        pass(1);
        assert_non_null(strstr(fake_http_request_path(fake_http_request()), "wait=50"));
        answer_with(500, "");
        assert_true(peer_of('a')->listed); /* the last list stays */
        pass(USEC_PER_SEC);
        answer_with(200, "no JSON");
        assert_int_equal(c->discovery_state, DISCOVERY_UNREACHABLE);
}

static void test_discovery_has_no_room(void **state)
{
        list("a");
        answer_with(503, "");
        assert_int_equal(c->discovery_state, DISCOVERY_REACHABLE);
        pass(USEC_PER_SEC);
        assert_non_null(strstr(fake_http_request_path(fake_http_request()), "wait=0"));
        list("a");
}

static void test_pages_and_changes(void **state)
{
        static const char record[] =
                        "{\"id\":\"%c%c000000-0000-0000-0000-000000000000\",\"instance\":"
                        "\"61000000-0000-0000-0000-000000000000\",\"name\":\"%c@h\",\"group\":"
                        "\"g\",\"addresses\":[\"tcp:host:9\"],\"capacity\":1,\"draining\":false}";
        char text[1024], one[512];

        (void) snprintf(one, sizeof one, record, '6', '1', 'a');
        (void) snprintf(text, sizeof text, "{\"revision\":\"r\",\"next\":\"n\",\"receivers\":[%s]}", one);
        answer_with(200, text);
        assert_int_equal(c->discovery_state, DISCOVERY_UNKNOWN); /* not all of it is known */
        pass(1);
        assert_string_equal(fake_http_request_path(fake_http_request()), "/v1/receivers?after=n");
        answer_with(410, ""); /* it has changed meanwhile */
        pass(1);
        assert_string_equal(fake_http_request_path(fake_http_request()), "/v1/receivers");
        answer_with(200, text);
        (void) snprintf(one, sizeof one, record, '6', '2', 'b');
        (void) snprintf(text, sizeof text, "{\"revision\":\"r\",\"receivers\":[%s]}", one);
        answer_with(200, text);
        assert_int_equal(c->discovery_state, DISCOVERY_REACHABLE);
        assert_true(peer_of('a')->listed && peer_of('b')->listed);

        (void) snprintf(one, sizeof one, record, '6', '3', 'c');
        (void) snprintf(text, sizeof text,
                        "{\"since\":\"r\",\"revision\":\"s\",\"removed\":"
                        "[\"61000000-0000-0000-0000-000000000000\"],\"receivers\":[%s]}",
                        one);
        answer_with(200, text);
        assert_false(peer_of('a')->listed);
        assert_true(peer_of('b')->listed && peer_of('c')->listed);
        client_crash();
        assert_true(peer_of('b')->listed); /* until discovery says otherwise */
        assert_false(peer_of('a')->listed);
}

static void test_two_of_one_name(void **state)
{
        static const char two[] =
                        "{\"revision\":\"r\",\"receivers\":["
                        "{\"id\":\"61000000-0000-0000-0000-000000000000\",\"instance\":"
                        "\"61000000-0000-0000-0000-000000000000\",\"name\":\"x@h\",\"group\":\"g\","
                        "\"addresses\":[\"tcp:host:9\"],\"capacity\":1,\"draining\":false},"
                        "{\"id\":\"62000000-0000-0000-0000-000000000000\",\"instance\":"
                        "\"61000000-0000-0000-0000-000000000000\",\"name\":\"x@h\",\"group\":\"g\","
                        "\"addresses\":[\"tcp:host:9\"],\"capacity\":1,\"draining\":false}]}";
        Peer *p;

        answer_with(200, two);
        assert_int_equal(peer_find_by_word(c, "x@h", &p), 0);
        assert_ptr_equal(p, peer_of('b'));
}

static void test_reloading(void **state)
{
        ClientConfig fresh;

        client_config_init(&fresh);
        fresh.outbox_limit = 7;
        client_reload(c, &fresh);
        assert_int_equal(c->config.outbox_limit, 7);
        client_config_clear(&fresh);
}

static void test_the_last_words(void **state)
{
        list("a");
        (void) send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
        fake_loop_stop();
        assert_true(fake_loop_is_over());
        Buffer *b = fake_connection_received(wire('a'));
        assert_true(buffer_size(b) > 0); /* SETTLED, without the second that it has else */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_what_is_refused),
                        TEST(test_the_same_key_twice),
                        TEST(test_a_start_in_the_future),
                        TEST(test_a_deadline),
                        TEST(test_a_deadline_passes_while_it_is_cancelled),
                        TEST(test_many_deadlines),
                        TEST(test_looking_up),
                        TEST(test_draining),
                        TEST(test_explanations),
                        TEST(test_more_explanations),
                        TEST(test_discovery_comes_and_goes),
                        TEST(test_discovery_has_no_room),
                        TEST(test_pages_and_changes),
                        TEST(test_two_of_one_name),
                        TEST(test_reloading),
                        TEST(test_the_last_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
