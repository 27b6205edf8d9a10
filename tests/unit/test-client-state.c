/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lowest floor of the client: retries, transient operations, queues, receivers as values, attempts. And
 * link/window, without a connection. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "client/engine/due.h"
#include "client/link/peers.h"
#include "client/link/window.h"
#include "client/state/attempts.h"
#include "client/state/events.h"
#include "client/state/queue.h"
#include "client/state/transient.h"

static unsigned n_tries;

static void on_retry(RetryItem *i)
{
        n_tries++;
}

static void on_retry_refused(RetryItem *i)
{
        n_tries++;
        retry_soon(&c->retries, i, on_retry_refused);
}

static void test_retries(void **state)
{
        RetryItem one = {}, two = {}, three = {};

        n_tries = 0;
        retry_soon(&c->retries, &one, on_retry);
        retry_soon(&c->retries, &one, on_retry); /* once */
        retry_soon(&c->retries, &two, on_retry_refused);
        retry_soon(&c->retries, &three, on_retry);
        retry_cancel(&c->retries, &three);
        retry_cancel(&c->retries, &three);
        assert_true(retry_is_waiting(&one));
        pass(USEC_PER_SEC - 1);
        assert_int_equal(n_tries, 0);
        pass(1);
        assert_int_equal(n_tries, 2);
        assert_false(retry_is_waiting(&one));
        assert_true(retry_is_waiting(&two));
        pass(3 * USEC_PER_SEC);
        assert_int_equal(n_tries, 5);
        retry_cancel(&c->retries, &two);
}

static DbOp ops[2];
static char order[8];

static void on_op(DbOp *op, int r)
{
        assert_int_equal(r, 0);
        order[strlen(order)] = op == ops ? '1' : '2';
        if (op == ops)
                transient_submit(c, ops + 1);
}

static void test_transient(void **state)
{
        memset(order, 0, sizeof order);
        ops[0].done = ops[1].done = on_op;
        transient_submit(c, ops);
        assert_string_equal(order, "");
        run();
        assert_string_equal(order, "12"); /* what it leads to as well */
}

static void test_queues(void **state)
{
        Queue *q, *same, *to;

        assert_int_equal(queue_get(c, "any/g/", &q), 0);
        assert_int_equal(queue_get(c, "any/g/", &same), 0);
        assert_ptr_equal(q, same);
        assert_ptr_equal(c->queues.any, q);
        assert_int_equal(queue_get(c, "nonsense", &q), -EINVAL);
        assert_null(queue_of_receiver(c, id_of('a')));
        assert_int_equal(queue_get(c, "to/61000000-0000-0000-0000-000000000000", &to), 0);
        assert_ptr_equal(queue_of_receiver(c, id_of('a')), to);
}

static void test_attempts(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        attempts_note(m, DELIVERY_SENT, DELIVERY_ANSWER_ACKED, 1, NULL);
        assert_null(m->attempts);
        attempts_note(m, DELIVERY_BOUND, DELIVERY_ANSWER_FAILED, 1, "x"); /* it was not on the wire */
        assert_null(m->attempts);
        for (unsigned i = 0; i < ATTEMPTS_KEPT + 5; i++)
                attempts_note(m, DELIVERY_SENT, DELIVERY_TIMEOUT, i + 1, "no ack");
        attempts_note(m, DELIVERY_BOUND, DELIVERY_UNBIND, 99, "moved");
        OutboxAttempt *all = attempts_take(m);
        assert_null(m->attempts);
        assert_int_equal(all->attempt, 7); /* the newest are kept */
        assert_string_equal(all->outcome, "no-ack");
        attempts_note(m, DELIVERY_SENT, DELIVERY_ANSWER_BUSY, 100, NULL);
        attempts_give_back(m, all);
        assert_ptr_equal(m->attempts, all); /* in front of what came meanwhile */
        OutboxAttempt *newest = all;
        while (newest->next)
                newest = newest->next;
        assert_string_equal(newest->outcome, "busy");
        m->attempts = outbox_attempts_free(all);
}

static void test_events(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        DeliveryState before = m->record.state;
        assert_int_equal(event_of_step(m, DELIVERY_GATHER), -1);
        assert_int_equal(event_of_step(m, DELIVERY_TIMEOUT), EVENT_NO_ACK);
        m->record.state = DELIVERY_GIVING_UP;
        assert_int_equal(event_of_step(m, DELIVERY_TIMEOUT), EVENT_GIVING_UP);
        m->record.state = DELIVERY_DEAD;
        assert_int_equal(event_of_end(m), EVENT_DEAD);
        m->record.state = before;
}

static void test_due(void **state)
{
        list("a");
        Message *m = send_to("a", "x"), *n = send_to("a", "y");
        due_arm(m, 10 * USEC_PER_SEC);
        uint64_t armed = c->due.armed;
        due_arm(n, 20 * USEC_PER_SEC);
        assert_int_equal(c->due.armed, armed);
        due_arm(n, 5 * USEC_PER_SEC);
        assert_true(c->due.armed < armed);
        due_disarm(n);
        due_disarm(m);
        due_disarm(m);
        pass(USEC_PER_SEC);
}

static void test_windows(void **state)
{
        SendWindow *w, *same;
        Peer *p;

        assert_int_equal(peer_get(c, id_of('w'), &p), 0);
        assert_int_equal(window_current(p, &w), 0);
        assert_int_equal(window_current(p, &same), 0);
        assert_ptr_equal(w, same);
        assert_false(window_is_kept(w));
        run();
        assert_true(window_is_kept(w));
        p->link.window = 2;
        assert_true(window_has_room(w));
        assert_int_equal(window_take(w), 1);
        assert_int_equal(window_take(w), 2);
        assert_false(window_has_room(w));
        assert_true(p->full);
        window_settle(w, 2);
        assert_false(window_has_room(w)); /* the first one holds it up */
        window_settle(w, 1);
        assert_false(p->full);
        assert_true(window_has_room(w));
        assert_int_equal(w->settled.low, 3);
        windows_announce(p, true); /* without a connection: nothing */
        assert_int_equal(w->n_unannounced, 2);
        peer_release(p); /* the stream is open */
        assert_ptr_equal(peer_find(c, id_of('w')), p);
}

static void test_windows_are_loaded(void **state)
{
        SendWindow *w;
        Peer *p;

        assert_int_equal(peer_get(c, id_of('w'), &p), 0);
        assert_int_equal(window_load(p, id_of('s'), &w), 0);
        assert_int_equal(window_load_open(w, 3), 0);
        assert_int_equal(window_load_open(w, 5), 0);
        assert_int_equal(windows_loaded(p), 0);
        assert_int_equal(w->settled.low, 3);
        assert_false(sequence_set_contains(&w->settled, 5));
        assert_true(sequence_set_contains(&w->settled, 4));
        assert_false(sequence_set_contains(&w->settled, 6)); /* perhaps of another process with our state */
        window_pruned(p, id_of('s'));                        /* not closed: the receiver is wrong */
        assert_ptr_equal(p->windows, w);
}

static void test_many_departed_receivers(void **state)
{
        ReceiverInfo info;
        Peer *p;

        for (unsigned i = 0; i < DEPARTED_MAX + 10; i++) {
                sd_id128_t id = {.bytes = {1, (uint8_t) (i >> 8), (uint8_t) i}};
                SendWindow *w;
                assert_int_equal(peer_get(c, id, &p), 0);
                info = (ReceiverInfo){.id = id, .name = strdup("x@h"), .group = strdup("g")};
                assert_int_equal(peer_list(p, &info), PEER_CAME | PEER_CHANGED);
                assert_int_equal(window_load(p, id, &w), 0); /* so it is remembered */
                assert_true(peer_unlist(p));
                assert_false(peer_unlist(p));
        }
        peers_forget(c);
        assert_int_equal(HASH_COUNT(c->peers.by_id), DEPARTED_MAX);
        assert_null(peer_find(c, (sd_id128_t){.bytes = {1, 0, 9}}));
        assert_non_null(peer_find(c, (sd_id128_t){.bytes = {1, 0, 10}}));
        run();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_retries),
                        TEST(test_transient),
                        TEST(test_queues),
                        TEST(test_attempts),
                        TEST(test_events),
                        TEST(test_due),
                        TEST(test_windows),
                        TEST(test_windows_are_loaded),
                        TEST(test_many_departed_receivers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
