/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop: what is put off to the end of an iteration, and the time of an iteration. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "runtime/loop-event.h"
#include "runtime/watch.h"

static int setup(void **state)
{
        return loop_new(NULL, NULL, (Loop **) state);
}

static int teardown(void **state)
{
        loop_free(*state);
        return 0;
}

/* What is put off to the end of an iteration */

typedef struct PutOff {
        Loop *loop;
        LoopWork work;
        unsigned runs;
        struct PutOff *next; /* is put off by this one's run */
        LoopWork *drop;      /* is dropped by this one's run */
} PutOff;

static void run_put_off(void *userdata)
{
        PutOff *p = userdata;

        p->runs++;
        if (p->next)
                loop_defer(p->loop, &p->next->work);
        if (p->drop)
                loop_cancel(p->loop, p->drop);
        p->next = NULL;
}

static void count_rest(void *userdata)
{
        ++*(unsigned *) userdata;
}

static void test_put_off(void **state)
{
        Loop *loop = *state;
        PutOff all[4];
        unsigned rests = 0;

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                all[i] = (PutOff){.loop = loop, .work = {.run = run_put_off, .userdata = all + i}};
        loop_set_post(loop, count_rest, &rests);
        all[0].next = all + 1; /* comes in the same iteration */
        all[0].drop = &all[3].work;
        for (unsigned i = 0; i < 3; i++)
                loop_defer(loop, &all[0].work); /* asked three times, done once */
        loop_defer(loop, &all[2].work);
        loop_defer(loop, &all[3].work);
        loop_cancel(loop, &all[2].work);
        loop_cancel(loop, &all[2].work);
        assert_true(loop_iterate(loop, 0) >= 0);
        assert_int_equal(all[0].runs, 1);
        assert_int_equal(all[1].runs, 1);
        assert_int_equal(all[2].runs, 0);
        assert_int_equal(all[3].runs, 0);
        assert_int_equal(rests, 2); /* before, and for what it led to */
        assert_true(loop_iterate(loop, 0) >= 0);
        assert_int_equal(all[0].runs, 1);
}

typedef struct Busy {
        Watch watch;
        unsigned calls;
} Busy;

static void on_busy(uint32_t events, void *userdata)
{
        Busy *b = userdata;

        if (++b->calls == 10000)
                watch_pause(&b->watch, true);
}

/* A descriptor that is ready all the time does not keep deferred work from its turn. */
static void test_put_off_while_busy(void **state)
{
        Loop *loop = *state;
        PutOff work = {.loop = loop, .work = {.run = run_put_off, .userdata = &work}};
        Busy busy = {};
        int fds[2];

        assert_return_code(pipe(fds), errno);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_return_code(watch_start(&busy.watch, loop, fds[0], EPOLLIN, on_busy, &busy), errno);
        assert_true(loop_iterate(loop, 0) >= 0);
        assert_int_equal(busy.calls, 1);
        loop_defer(loop, &work.work);
        while (work.runs == 0 && busy.calls < 10000)
                assert_true(sd_event_run(loop_event(loop), 0) >= 0); /* as loop_run() does it */
        assert_in_range(busy.calls, 1, 1000);
        watch_stop(&busy.watch);
        (void) close(fds[0]);
        (void) close(fds[1]);
}

/* Time. */

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};

static void wait_for_the_clock(void)
{
        const uint64_t before = now_usec(CLOCK_MONOTONIC);

        while (now_usec(CLOCK_MONOTONIC) == before)
                ;
}

typedef struct Look {
        Loop *loop;
        uint64_t first[ELEMENTSOF(clocks)], again[ELEMENTSOF(clocks)];
} Look;

static void look(void *userdata)
{
        Look *l = userdata;

        for (size_t i = 0; i < ELEMENTSOF(clocks); i++)
                l->first[i] = loop_now(l->loop, clocks[i]);
        wait_for_the_clock();
        for (size_t i = 0; i < ELEMENTSOF(clocks); i++)
                l->again[i] = loop_now(l->loop, clocks[i]);
}

static void on_look(uint32_t events, void *userdata)
{
        look(userdata);
}

/* An iteration has one time. Before the first one, time goes on. */
static void test_time(void **state)
{
        Look l = {.loop = *state};
        uint64_t last = 0;
        Watch watch = {};
        int fds[2];

        look(&l);
        assert_true(l.again[1] > l.first[1]);
        assert_return_code(pipe(fds), errno);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_return_code(watch_start(&watch, l.loop, fds[0], EPOLLIN, on_look, &l), errno);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(loop_iterate(l.loop, USEC_PER_SEC) >= 0);
                assert_memory_equal(l.again, l.first, sizeof l.first);
                assert_true(l.first[1] > last);
                last = l.first[1];
                wait_for_the_clock();
        }
        watch_stop(&watch);
        (void) close(fds[0]);
        (void) close(fds[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_put_off, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_put_off_while_busy, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        };

        return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
