/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One message to one receiver, from its submission to its end. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client-fixture.h"

static void test_submission_to_settlement(void **state)
{
        list("a");
        Message *m = send_to("a", "hello");
        assert_state(m, DELIVERY_BOUND);
        assert_events("accepted bound");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "hello");
        assert_int_equal(f.attempt, 1);
        assert_int_equal(f.sequence, 1);
        assert_int_equal(f.flags, 0);
        assert_state(m, DELIVERY_SENT);
        assert_int_equal(stored_state(last.id), DELIVERY_BOUND);
        answer('a', &f, OUTCOME_ACKED, "fine");
        assert_state(m, DELIVERY_ACKED);
        assert_events("sent acked");
        assert_int_equal(m->record.reply_size, 4);
        assert_int_equal(stored_state(last.id), DELIVERY_ACKED);
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(c->messages.n_settled, 1);

        /* Within a second the receiver hears that the sequence is settled. */
        Frame s;
        assert_false(next_settled('a', &s));
        pass(USEC_PER_SEC);
        assert_true(next_settled('a', &s));
        assert_int_equal(s.settled.low, 2);
}

static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                                test_submission_to_settlement, client_setup, client_teardown),
};

int main(void)
{
        return cmocka_run_group_tests(tests, NULL, NULL);
}
