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

/* The receiver lost its state directory. A message for its old id waits, and "why" says what happened. */
static void test_a_message_for_the_earlier_holder(void **state)
{
        Explanation why;

        answer_list(RECEIVER("61", "web"));
        Message *m = send_to("web", "x");
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
                        TEST(test_names_are_bounded),
                        TEST(test_sockets_of_other_hosts),
                        TEST(test_a_socket_that_is_not_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
