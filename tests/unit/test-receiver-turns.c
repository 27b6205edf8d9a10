/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many messages a receiver takes, and from whom. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "receiver/depth.h"
#include "receiver/turns.h"

static void test_depth_follows_the_handlers(void **state)
{
        char *command[] = {(char *) "x", NULL};
        ReceiverConfig config = {.concurrency = 4, .queue = 1000, .command = command};
        static const struct {
                uint64_t usec;
                unsigned depth;
        } cases[] = {
                        {0, 1000},
                        {100, 1000},
                        {1000, 256}, /* 400, rounded down to a power of two */
                        {100000, 4},
                        {200000, 2},
                        {249999, 1},
                        {250000, 0},
                        {60 * USEC_PER_SEC, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Depth d = {};

                assert_int_equal(depth_capacity(&d, &config), 5); /* not known yet */
                depth_ended(&d, cases[i].usec);
                assert_int_equal(depth_capacity(&d, &config), 4 + cases[i].depth);
                depth_gave_back(&d);
                assert_int_equal(depth_capacity(&d, &config), 4);
        }
        config.queue = 0;
        assert_int_equal(depth_capacity(&(Depth){}, &config), 4);
        config.command = NULL; /* the built-in handler */
        config.queue = 16;
        assert_int_equal(depth_capacity(&(Depth){}, &config), 20);
}

static void test_who_waits_longest_is_next(void **state)
{
        Turns ts = {};
        Turn a = {}, b = {}, c = {};

        assert_true(turn_may_take(&ts, &a, 1));
        turn_refused(&ts, &a);
        turn_refused(&ts, &b);
        turn_refused(&ts, &a); /* again: keeps its place */
        assert_null(turns_offer(&ts, 0, 1));
        assert_ptr_equal(turns_offer(&ts, 1, 1), &a);
        assert_null(turns_offer(&ts, 1, 1)); /* the only free place is offered */
        assert_true(turn_may_take(&ts, &a, 1));
        assert_false(turn_may_take(&ts, &c, 1)); /* who never waited does not take it */
        assert_true(turn_may_take(&ts, &c, 2));
        turn_taken(&ts, &a);
        assert_false(a.refused);
        assert_ptr_equal(turns_offer(&ts, 1, 2), &b);
        assert_int_equal(turns_expire(&ts, 3), 2 + TURN_OFFER_USEC);
        assert_int_equal(turns_expire(&ts, 2 + TURN_OFFER_USEC), USEC_INFINITY);
        assert_true(turn_may_take(&ts, &c, 1));
        turn_refused(&ts, &b);
        turn_leave(&ts, &b);
        assert_null(turns_offer(&ts, 1, 3));
        assert_int_equal(ts.n_offers, 0);
}

static void test_refused_in_spite_of_an_offer(void **state)
{
        Turns ts = {};
        Turn a = {}, b = {};

        turn_refused(&ts, &a);
        turn_refused(&ts, &b);
        assert_ptr_equal(turns_offer(&ts, 1, 1), &a);
        turn_refused(&ts, &a); /* something else was in the way */
        assert_int_equal(ts.n_offers, 0);
        assert_int_equal(turns_expire(&ts, 1 + TURN_OFFER_USEC), USEC_INFINITY);
        assert_ptr_equal(turns_offer(&ts, 1, 2), &a); /* before `b` */
        assert_null(turns_offer(&ts, 1, 2));
        assert_ptr_equal(turns_offer(&ts, 2, 2), &b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_depth_follows_the_handlers),
                        cmocka_unit_test(test_who_waits_longest_is_next),
                        cmocka_unit_test(test_refused_in_spite_of_an_offer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
