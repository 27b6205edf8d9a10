/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Without memory for a moment, everything goes on later, although nothing else happens. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

static unsigned no_frames, no_windows, no_messages, no_peers; /* so many of the next calls fail */

int __real_frame_encode(Buffer *out, const Frame *f);
int __wrap_frame_encode(Buffer *out, const Frame *f);
int __wrap_frame_encode(Buffer *out, const Frame *f)
{
        if (f->type != FRAME_MESSAGE || no_frames == 0)
                return __real_frame_encode(out, f);
        no_frames--;
        return -ENOMEM;
}

int __real_window_current(Peer *p, SendWindow **ret);
int __wrap_window_current(Peer *p, SendWindow **ret);
int __wrap_window_current(Peer *p, SendWindow **ret)
{
        if (no_windows == 0)
                return __real_window_current(p, ret);
        no_windows--;
        return -ENOMEM;
}

int __real_message_new(Client *client, OutboxRecord *record, Message **ret);
int __wrap_message_new(Client *client, OutboxRecord *record, Message **ret);
int __wrap_message_new(Client *client, OutboxRecord *record, Message **ret)
{
        if (no_messages == 0)
                return __real_message_new(client, record, ret);
        no_messages--;
        return -ENOMEM;
}

int __real_peer_get(Client *client, sd_id128_t id, Peer **ret);
int __wrap_peer_get(Client *client, sd_id128_t id, Peer **ret);
int __wrap_peer_get(Client *client, sd_id128_t id, Peer **ret)
{
        if (no_peers == 0)
                return __real_peer_get(client, id, ret);
        no_peers--;
        return -ENOMEM;
}

/* The client asks for the whole list again, since discovery sends only what changes. */
static void test_for_a_listed_receiver(void **state)
{
        no_peers = 1;
        list("a");
        assert_null(peer_of('a'));
        pass(60 * USEC_PER_SEC);
        assert_null(strstr(fake_http_request_path(fake_http_request()), "changes="));
        no_peers = 1;
        list("a");
        assert_null(peer_of('a'));
        pass(60 * USEC_PER_SEC);
        list("a");
        assert_true(peer_of('a')->listed);
        pass(1);
        assert_non_null(strstr(fake_http_request_path(fake_http_request()), "changes="));
}

static void test_for_the_frame(void **state)
{
        list("a");
        (void) send_to("a", "1");
        no_frames = 2;
        welcome('a', 5);
        expect_nothing('a');
        pass(USEC_PER_SEC + 1);
        expect_nothing('a');
        pass(USEC_PER_SEC + 1);
        (void) expect_message('a', "1");
}

static void test_for_the_binding(void **state)
{
        Message *m;

        list("a");
        (void) send_to("a", "0");
        welcome('a', 5);
        (void) expect_message('a', "0");
        no_windows = 3;
        m = send_any("1");
        assert_state(m, DELIVERY_QUEUED);
        expect_nothing('a');
        for (unsigned i = 0; no_windows > 0; i++) {
                assert_true(i < 5);
                expect_nothing('a');
                pass(USEC_PER_SEC + 1);
        }
        pass(USEC_PER_SEC + 1);
        (void) expect_message('a', "1");
}

static void test_for_a_page(void **state)
{
        const unsigned n = 1100;
        Submission s = submission(SELECTOR_ANY, "g", "");
        char text[16];

        list("");
        for (unsigned i = 0; i < n; i++) {
                (void) snprintf(text, sizeof text, "%u", i);
                s.payload = text, s.size = strlen(text);
                assert_int_equal(submit(s), 0);
        }
        client_crash();
        no_messages = 1;
        list("a");
        welcome('a', 10);
        for (unsigned i = 0; i < n; i++) {
                Frame f;

                (void) snprintf(text, sizeof text, "%u", i);
                if (!next_frame('a', &f)) {
                        pass(USEC_PER_SEC + 1);
                        assert_true(next_frame('a', &f));
                }
                assert_int_equal(f.type, FRAME_MESSAGE);
                assert_memory_equal(f.message.payload.data, text, strlen(text));
                answer('a', &f.message, OUTCOME_ACKED, "");
        }
        assert_int_equal(c->messages.n_open, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, client_setup, client_teardown)
        const struct CMUnitTest tests[] = {
                        TEST(for_a_listed_receiver),
                        TEST(for_the_frame),
                        TEST(for_the_binding),
                        TEST(for_a_page),
        };

        return cmocka_run_group_tests_name("client-memory", tests, NULL, NULL);
}
