/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages are removed. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "client/intake/purge.h"

static int purged;

static void on_purged(int r, void *userdata)
{
        purged = r;
}

static void test_purging(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        assert_int_equal(message_purge(m, on_purged, NULL), -EBUSY); /* not at its end */
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        fake_disk_fail(1, EIO, true);
        answer('a', &f, OUTCOME_REJECTED, "");
        fake_disk_fail(0, 0, false);
        purged = 1;
        assert_int_equal(message_purge(m, on_purged, NULL), 0);
        run();
        assert_int_equal(purged, -EBUSY); /* its end is not on disk */
        pass(USEC_PER_SEC);
        assert_int_equal(message_purge(m, on_purged, NULL), 0);
        assert_int_equal(message_purge(m, on_purged, NULL), -EALREADY);
        run();
        assert_int_equal(purged, 0);
        assert_int_equal(c->messages.n_dead, 0);
        assert_null(find());
}

/* On disk it may still be dead then. */
static void test_purging_what_is_tried_again(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "x");

        list("a");
        Message *m = send_to("a", "x");
        message_give_up(m, "enough");
        run();
        fake_disk_fail(1, EIO, true);
        assert_int_equal(message_revive(m), 0);
        run();
        assert_int_equal(message_purge(m, on_purged, NULL), -EBUSY);
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        message_give_up(m, "enough");
        run();
        assert_int_equal(stored_state(last.id), DELIVERY_DEAD);

        assert_int_equal(submit(s), 0);
        m = find();
        message_give_up(m, "enough");
        run();
        assert_state(m, DELIVERY_DEAD);
        assert_int_equal(message_revive(m), 0);
        assert_int_equal(message_purge(m, on_purged, NULL), -EBUSY); /* its members are being read */
        run();
        assert_state(m, DELIVERY_GATHERING);
        assert_int_equal(stored_state(last.id), DELIVERY_GATHERING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                        TEST(test_purging),
                        TEST(test_purging_what_is_tried_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
