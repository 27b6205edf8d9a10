/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of receivers: of those that left, of other hosts, of two receivers one after the other. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "client/intake/explain.h"

static void answer_list(const char *receivers)
{
        static unsigned revision;
        _cleanup_free_ char *text =
                        str_format("{\"revision\":\"n%u\",\"receivers\":[%s]}", ++revision, receivers);

        pass(1);
        assert_non_null(fake_http_request());
        fake_http_answer(fake_http_request(), 200, text);
        run();
}

#define RECEIVER(id, name)                                                                                  \
        "{\"id\":\"" id "000000-0000-0000-0000-000000000000\",\"instance\":\"" id                           \
        "000000-0000-0000-0000-000000000000\",\"name\":\"" name                                             \
        "\",\"addresses\":[\"tcp:host:9\"],\"capacity\":1}"

static void refused(const char *target, int error, const char *text)
{
        assert_int_equal(submit(submission(SELECTOR_TO, target, "x")), error);
        if (!strstr(submit_error.text, text))
                fail_msg("%s", submit_error.text);
}

/* Listed until a moment ago, or before a restart of the client: the message waits. */
static void test_a_receiver_that_left(void **state)
{
        list("a");
        list("");
        assert_state(send_to("a", "1"), DELIVERY_QUEUED);
        client_crash();
        list("");
        (void) send_to("a@h", "2");
        list("a");
        welcome('a', 4);
        (void) expect_message('a', "2"); /* "1" has to be read from the disk */
        (void) expect_message('a', "1");
}

static void test_a_receiver_that_left_before_a_restart(void **state)
{
        list("a");
        list("");
        run();
        client_crash();
        (void) send_to("a", "1");
        refused("b", -ENOENT, "No receiver \"b\" is known, and discovery does not answer");
        list("");
        refused("b", -ENOENT, "No receiver \"b\" is known");
}

static void test_a_short_name_is_one_of_this_host(void **state)
{
        answer_list(RECEIVER("61", "1@ant") "," RECEIVER("62", "1@bee") "," RECEIVER("63", "web"));
        strcpy(c->host, "ant");
        assert_true(sd_id128_equal(message_peer(send_to("1", "x"))->info.id, id_of('a')));
        strcpy(c->host, "bee");
        assert_true(sd_id128_equal(message_peer(send_to("1", "x"))->info.id, id_of('b')));
        strcpy(c->host, "cat");
        refused("1", -ENOTUNIQ, "No receiver \"1\" is known on host cat, but 1@");
        refused("1", -ENOTUNIQ, "1@bee");
        c->config.host_name = strdup("ant"); /* HostName= */
        assert_true(sd_id128_equal(message_peer(send_to("1", "x"))->info.id, id_of('a')));
        assert_true(sd_id128_equal(message_peer(send_to("web", "x"))->info.id, id_of('c')));

        /* That of this host is stopped: the message waits for it, and does not go elsewhere. */
        answer_list(RECEIVER("62", "1@bee"));
        assert_true(sd_id128_equal(message_peer(send_to("1", "x"))->info.id, id_of('a')));
        refused("web2", -ENOENT, "No receiver \"web2\" is known");
}

static void test_one_receiver_elsewhere_is_not_meant(void **state)
{
        answer_list(RECEIVER("62", "1@bee"));
        strcpy(c->host, "ant");
        refused("1", -ENOTUNIQ, "1@bee: use the whole name");
}

static void test_a_name_with_a_new_holder(void **state)
{
        Peer *p;

        answer_list(RECEIVER("61", "web"));
        answer_list("");
        assert_int_equal(peer_find_by_word(c, "web", &p), 0);
        assert_ptr_equal(p, peer_of('a'));
        answer_list(RECEIVER("62", "web"));
        assert_int_equal(peer_find_by_word(c, "web", &p), 0);
        assert_ptr_equal(p, peer_of('b'));
        answer_list("");
        assert_int_equal(peer_find_by_word(c, "web", &p), 0);
        assert_ptr_equal(p, peer_of('b'));
        assert_string_equal(peer_state_name(p), "offline");
        answer_list(RECEIVER("61", "web"));
        assert_int_equal(peer_find_by_word(c, "web", &p), 0);
        assert_ptr_equal(p, peer_of('a'));
        assert_string_equal(peer_state_name(p), "idle");
}

/* Lists one receiver. */
static void has_name(char id, const char *name)
{
        _cleanup_free_ char *one =
                        str_format("{\"id\":\"%x000000-0000-0000-0000-000000000000\","
                                   "\"instance\":\"%x000000-0000-0000-0000-000000000000\","
                                   "\"name\":\"%s\",\"addresses\":[\"tcp:host:%u\"],\"capacity\":1}",
                                        (unsigned) id, (unsigned) id, name, (unsigned) id);

        answer_list(one);
}

/* Until it is sent, a message to a name goes to whoever has that. */
static void expect_unsent(char name, const char *payload)
{
        assert_int_equal(expect_message(name, payload).flags & MESSAGE_POSSIBLE_DUPLICATE, 0);
}

static void test_a_name_is_followed(void **state)
{
        has_name('a', "web");
        Message *first = send_to("web", "1"), *second = send_to("web", "2");
        assert_state(first, DELIVERY_QUEUED);
        has_name('b', "web");
        welcome('b', 4);
        expect_unsent('b', "1");
        expect_unsent('b', "2");
        assert_true(sd_id128_equal(second->record.receiver, id_of('b')));
        welcome('a', 4); /* it is there, but has lost the name */
        expect_nothing('a');
}

static void test_a_name_is_followed_after_a_restart(void **state)
{
        has_name('a', "web");
        (void) send_to("web", "1");
        answer_list("");
        client_crash();
        has_name('b', "web");
        welcome('b', 4);
        expect_unsent('b', "1");
}

/* An id is an id. */
static void test_an_id_is_not_followed(void **state)
{
        has_name('a', "web");
        Message *m = send_to("61000000-0000-0000-0000-000000000000", "1");
        has_name('b', "web");
        if (wire('b'))
                welcome('b', 4);
        assert_state(m, DELIVERY_QUEUED);
        has_name('a', "web");
        welcome('a', 4);
        expect_unsent('a', "1");
}

/* It was bound, but not sent: the receiver was busy, stopped, or left while the binding was written. */
static void test_bound_to_the_earlier_holder(void **state)
{
        has_name('a', "web");
        Message *unsent = send_to("web", "2");
        welcome('a', 2);
        MessageFrame f = expect_message('a', "2");
        answer('a', &f, OUTCOME_BUSY, "");
        (void) send_to("web", "3");
        hang_up('a', -ECONNRESET);
        assert_state(unsent, DELIVERY_QUEUED);
        run();
        assert_int_equal(stored_state(unsent->record.id), DELIVERY_QUEUED);
        client_crash();
        has_name('b', "web");
        welcome('b', 4);
        expect_unsent('b', "2"); /* the order stays */
        expect_unsent('b', "3");
}

static void test_a_new_holder_while_a_binding_is_written(void **state)
{
        has_name('a', "web");
        (void) send_to("web", "1");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "1");
        answer('a', &f, OUTCOME_ACKED, "");

        Submission s = submission(SELECTOR_TO, "web", "2");
        fake_worker_hang(true);
        assert_int_equal(submit(s), 0);
        has_name('b', "web");
        fake_worker_hang(false);
        run();
        expect_nothing('a');
        welcome('b', 4);
        expect_unsent('b', "2");
}

/* It keeps its id, and takes another name. */
static void test_a_receiver_with_another_name(void **state)
{
        Explanation why;

        has_name('a', "web");
        (void) send_to("web", "1");
        welcome('a', 1);
        (void) expect_message('a', "1");
        Message *m = send_to("web", "2");
        has_name('a', "api");
        explain(m, &why);
        assert_string_equal(why.why, "No receiver web is known.");
        assert_string_equal(
                        why.advice, "It is sent when a receiver has this name; ackctl cancel cancels it.");
        has_name('b', "web");
        welcome('b', 4);
        expect_unsent('b', "2");
}

/* What was sent stays with that id, for ever. */
static void test_sent_to_the_earlier_holder(void **state)
{
        Explanation why;

        has_name('a', "web");
        Message *m = send_to("web", "1");
        const sd_id128_t id = m->record.id;
        welcome('a', 1);
        (void) expect_message('a', "1");
        hang_up('a', -ECONNRESET);
        Message *n = send_to("web", "2");
        has_name('b', "web");
        welcome('b', 4);
        expect_unsent('b', "2");
        expect_nothing('b');
        assert_state(m, DELIVERY_BOUND);
        assert_true(sd_id128_equal(n->record.receiver, id_of('b')));

        client_crash();
        has_name('b', "web");
        m = message_find(c, id);
        assert_state(m, DELIVERY_BOUND);
        explain(m, &why);
        assert_non_null(strstr(why.why, "62000000 has its name now"));
        has_name('a', "web");
        welcome('a', 1);
        assert_int_not_equal(expect_message('a', "1").flags & MESSAGE_POSSIBLE_DUPLICATE, 0);
}

/* Whoever tries it again means the name. The earlier holder may have run it. */
static void test_a_dead_letter_goes_to_the_present_holder(void **state)
{
        Submission s = submission(SELECTOR_TO, "web", "1");

        s.policy.max_attempts = 1;
        has_name('a', "web");
        assert_int_equal(submit(s), 0);
        Message *m = find();
        welcome('a', 1);
        MessageFrame f = expect_message('a', "1");
        answer('a', &f, OUTCOME_FAILED, "no");
        assert_state(m, DELIVERY_DEAD);
        has_name('b', "web");
        assert_int_equal(message_revive(m), 0);
        run();
        has_name('d', "web"); /* and again another one */
        welcome('d', 1);
        assert_int_not_equal(expect_message('d', "1").flags & MESSAGE_POSSIBLE_DUPLICATE, 0);
}

/* A message to all goes to those that were there, and not twice to one that joins under an earlier name. */
static void test_members_are_ids(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "1");

        s.follow = true;
        has_name('a', "web");
        assert_int_equal(submit(s), 0);
        Message *m = find();
        has_name('b', "web");
        welcome('b', 4);
        MessageFrame f = expect_message('b', "1");
        answer('b', &f, OUTCOME_ACKED, "");
        expect_nothing('b');
        assert_state(m, DELIVERY_GATHERING);
        assert_int_equal(m->fanout->n_members, 2);
        assert_int_equal(m->fanout->n_acked, 1);
}

/* The receiver lost its state directory. A message that was sent to its old id waits, and "why" says what
 * happened. */
static void test_a_message_for_the_earlier_holder(void **state)
{
        Explanation why;

        answer_list(RECEIVER("61", "web"));
        Message *m = send_to("61000000-0000-0000-0000-000000000000", "x");
        answer_list(RECEIVER("62", "web"));
        run();
        explain(m, &why);
        assert_string_equal(why.why,
                        "It is for receiver web with the id 61000000, which is gone; 62000000 has "
                        "its name now.");
        assert_non_null(strstr(why.advice, "ackctl cancel"));
        answer_list(RECEIVER("61", "web")); /* it was only away */
        run();
        explain(m, &why);
        assert_null(strstr(why.why, "has its name now"));
}

/* Thousands of receivers that come once. Those to which something waits stay. */
static void test_names_are_bounded(void **state)
{
        char name[16], id[40];
        Peer *p;

        answer_list(RECEIVER("61", "first"));
        Submission s = submission(SELECTOR_TO, "first", "x");
        s.policy.start_usec = 4000000000 * USEC_PER_SEC;
        assert_int_equal(submit(s), 0);
        for (unsigned i = 0; i < 2 * DEPARTED_MAX; i++) {
                (void) snprintf(name, sizeof name, "r%u", i);
                (void) snprintf(id, sizeof id, "70000000-0000-0000-0000-%012u", i);
                _cleanup_free_ char *one = str_format("{\"id\":\"%s\",\"instance\":\"%s\",\"name\":\"%s\","
                                                      "\"addresses\":[\"tcp:host:9\"],\"capacity\":1}",
                                id, id, name);
                answer_list(one);
        }
        answer_list("");
        assert_in_range(HASH_COUNT(c->peers.by_id), DEPARTED_MAX, DEPARTED_MAX + 1);
        assert_int_equal(peer_find_by_word(c, "first", &p), 0);
        assert_int_equal(peer_find_by_word(c, "r10", &p), -ENOENT);
        assert_int_equal(peer_find_by_word(c, "r511", &p), 0);
        client_crash();
        assert_int_equal(peer_find_by_word(c, "first", &p), 0);
        assert_int_equal(peer_find_by_word(c, "r10", &p), -ENOENT);
        assert_int_equal(peer_find_by_word(c, "r511", &p), 0);
}

#define HOST(machine, boot)                                                                                 \
        "\"host\":{\"machine\":\"" machine "000000-0000-0000-0000-000000000000\",\"boot\":\"" boot          \
        "000000-0000-0000-0000-000000000000\"}"
#define AT(addresses, host)                                                                                 \
        "{\"id\":\"61000000-0000-0000-0000-000000000000\",\"instance\":\"61000000-0000-0000-0000-"          \
        "000000000000\","                                                                                   \
        "\"name\":\"1@bee\",\"addresses\":[" addresses "],\"capacity\":1," host "}"

static const char *address_tried(void)
{
        static char text[ADDRESS_STRING_MAX];

        return fake_connection(0) ? address_format(fake_connection_address(fake_connection(0)), text)
                                  : "none";
}

/* A file of that name is on this host, too. */
static void test_sockets_of_other_hosts(void **state)
{
        Explanation why;

        c->here = (HostMark){.machine = {.bytes = {1}}, .boot = {.bytes = {1}}};
        answer_list(AT("\"unix:/run/1.sock\",\"tcp:bee:7\"", HOST("02", "02")));
        Message *m = send_to("1@bee", "x");
        assert_string_equal(address_tried(), "tcp:bee:7");
        fake_connection_end(fake_connection(0), -ECONNREFUSED);
        run();

        answer_list(AT("\"unix:/run/1.sock\"", HOST("02", "02")));
        run();
        assert_string_equal(address_tried(), "none");
        explain(m, &why);
        assert_non_null(strstr(why.why, "unix:/run/1.sock: a socket of another host"));

        answer_list(AT("\"unix:/run/1.sock\"", HOST("02", "01"))); /* a container of this host */
        pass(USEC_PER_SEC);
        assert_string_equal(address_tried(), "unix:/run/1.sock");
}

/* The file was deleted: "why" says so. */
static void test_a_socket_that_is_not_there(void **state)
{
        Explanation why;

        answer_list(AT("\"unix:/run/1.sock\"", HOST("02", "02")));
        c->here = peer_of('a')->info.host;
        fake_connection_set_possible(false);
        Message *m = send_to("1@bee", "x");
        run();
        explain(m, &why);
        assert_non_null(strstr(why.why, "unix:/run/1.sock: there is no such file on this host"));
        fake_connection_set_possible(true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_a_receiver_that_left),
                        TEST(test_a_receiver_that_left_before_a_restart),
                        TEST(test_a_short_name_is_one_of_this_host),
                        TEST(test_one_receiver_elsewhere_is_not_meant),
                        TEST(test_a_name_with_a_new_holder),
                        TEST(test_a_message_for_the_earlier_holder),
                        TEST(test_a_name_is_followed),
                        TEST(test_a_name_is_followed_after_a_restart),
                        TEST(test_an_id_is_not_followed),
                        TEST(test_bound_to_the_earlier_holder),
                        TEST(test_a_new_holder_while_a_binding_is_written),
                        TEST(test_a_receiver_with_another_name),
                        TEST(test_sent_to_the_earlier_holder),
                        TEST(test_a_dead_letter_goes_to_the_present_holder),
                        TEST(test_members_are_ids),
                        TEST(test_names_are_bounded),
                        TEST(test_sockets_of_other_hosts),
                        TEST(test_a_socket_that_is_not_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
