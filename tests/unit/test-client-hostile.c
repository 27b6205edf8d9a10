/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A receiver that says what makes a client try again at once, for ever. Each row is asked a bounded number
 * of times in a minute. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

#define TRIES_MAX 300u /* in a minute: messages and connections */

static void say(Outcome outcome, const MessageFrame *m)
{
        answer('a', m, outcome, "");
}

static void busy_but_there_is_room(const MessageFrame *m)
{
        say(OUTCOME_BUSY, m);
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 1});
}

static void busy_with_a_share_of_nothing(const MessageFrame *m)
{
        say(OUTCOME_BUSY, m);
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 0});
}

static void error(const MessageFrame *m)
{
        send_frame('a', &(Frame){.type = FRAME_ERROR, .text = {(const uint8_t *) "no", 2}});
}

static void close_it(const MessageFrame *m)
{
        hang_up('a', 0);
}

static void busy_and_close(const MessageFrame *m)
{
        say(OUTCOME_BUSY, m);
        hang_up('a', 0);
}

static void working_and_close(const MessageFrame *m)
{
        say(OUTCOME_WORKING, m);
        hang_up('a', 0);
}

static void restarting(const MessageFrame *m)
{
        send_frame('a', &(Frame){.type = FRAME_GOODBYE, .reason = GOODBYE_RESTARTING});
        hang_up('a', 0);
}

static void wrong_ids(const MessageFrame *m)
{
        MessageFrame other = *m;

        other.sequence++;
        say(OUTCOME_ACKED, &other);
        other = *m, other.message = id_of('z');
        say(OUTCOME_REJECTED, &other);
        other = *m, other.stream = id_of('z');
        say(OUTCOME_BUSY, &other);
        other = *m, other.attempt--;
        say(OUTCOME_FAILED, &other);
        say(OUTCOME_BUSY, &other);
        send_frame('a', &(Frame){.type = FRAME_PONG, .token = UINT64_MAX});
        send_frame('a', &(Frame){.type = FRAME_PRUNED, .stream = m->stream});
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = UINT32_MAX});
}

typedef struct Row {
        const char *name;
        void (*on_message)(const MessageFrame *m);
        SelectorMode mode;
} Row;

static const Row rows[] = {
                {"busy, and room, to any", busy_but_there_is_room, SELECTOR_ANY},
                {"busy, and room, to one", busy_but_there_is_room, SELECTOR_TO},
                {"busy, and a share of nothing", busy_with_a_share_of_nothing, SELECTOR_ANY},
                {"an error", error, SELECTOR_ANY},
                {"it closes", close_it, SELECTOR_TO},
                {"busy, and it closes", busy_and_close, SELECTOR_ANY},
                {"working, and it closes", working_and_close, SELECTOR_TO},
                {"it restarts", restarting, SELECTOR_ANY},
                {"answers to others", wrong_ids, SELECTOR_ANY},
};

static unsigned answer_all(const Row *row)
{
        unsigned n = 0;
        Frame f;

        if (wire('a') && fake_connection_is_connecting(wire('a'))) {
                welcome('a', 4);
                n++;
        }
        while (n < TRIES_MAX && next_frame('a', &f)) {
                if (f.type != FRAME_MESSAGE)
                        continue;
                MessageFrame m = f.message;
                row->on_message(&m);
                n++;
        }
        return n;
}

static void test_hostile(void **state)
{
        const Row *row = *state;
        unsigned n = 0;
        void *unused;

        assert_int_equal(client_setup(&unused), 0);
        list("a");
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(submit(submission(row->mode, row->mode == SELECTOR_TO ? "a" : "", "x")), 0);
        for (unsigned i = 0; i < 6000 && n < 100 * TRIES_MAX; i++) {
                pass(10 * USEC_PER_MSEC);
                n += answer_all(row);
        }
        print_message("%s: %u tries\n", row->name, n);
        const uint64_t n_open = c->messages.n_open;
        assert_int_equal(client_teardown(&unused), 0);
        assert_int_equal(n_open, 20);
        assert_in_range(n, 5, TRIES_MAX);
}

int main(void)
{
        struct CMUnitTest tests[ELEMENTSOF(rows)];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                tests[i] = (struct CMUnitTest){
                                rows[i].name, test_hostile, NULL, NULL, (void *) (uintptr_t) (rows + i)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
