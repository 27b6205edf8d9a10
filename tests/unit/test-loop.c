/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop: what is put off to the end of an iteration, and the time of an iteration. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
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

/* Many descriptors: more than sd-event gets sources of its own for. */

#define MANY   200u
#define ROUNDS 100u /* more than enough for all of them */

typedef struct Many Many;

typedef struct One {
        Many *many;
        Watch watch;
        int fd, peer;
        unsigned calls;
        uint32_t events;
} One;

struct Many {
        One ones[MANY];
        unsigned calls;
        void (*act)(One *o); /* within the callback */
};

static void on_one(uint32_t events, void *userdata)
{
        One *o = userdata;

        o->calls++;
        o->many->calls++;
        o->events = events;
        if (o->many->act)
                o->many->act(o);
}

static void many_start(Many *m, Loop *loop)
{
        for (unsigned i = 0; i < MANY; i++) {
                One *o = m->ones + i;
                int fds[2];

                assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                                errno);
                *o = (One){.many = m, .fd = fds[0], .peer = fds[1]};
                assert_return_code(
                                watch_start_one_of_many(&o->watch, loop, o->fd, EPOLLIN, on_one, o), errno);
                assert_int_equal(write(o->peer, "x", 1), 1);
        }
}

static void many_stop(Many *m)
{
        for (unsigned i = 0; i < MANY; i++) {
                watch_stop(&m->ones[i].watch);
                watch_stop(&m->ones[i].watch);
                (void) close(m->ones[i].fd);
                (void) close(m->ones[i].peer);
        }
}

static void iterate(Loop *loop, unsigned n)
{
        while (n-- > 0)
                assert_true(loop_iterate(loop, 0) >= 0);
}

static unsigned fewest_calls(const Many *m)
{
        unsigned fewest = m->ones[0].calls;

        for (unsigned i = 1; i < MANY; i++)
                fewest = MIN(fewest, m->ones[i].calls);
        return fewest;
}

/* All have their turn. */
static void test_many(void **state)
{
        Many m = {};

        many_start(&m, *state);
        iterate(*state, ROUNDS);
        assert_true(fewest_calls(&m) >= 1);
        for (unsigned i = 0; i < MANY; i++)
                assert_int_equal(m.ones[i].events, EPOLLIN);
        many_stop(&m);
        m.calls = 0;
        iterate(*state, ROUNDS);
        assert_int_equal(m.calls, 0);
}

/* What is ready with it in the same iteration: the one before and the one behind. */
static void stop_neighbours(One *o)
{
        size_t i = (size_t) (o - o->many->ones);

        if (i > 0)
                watch_stop(&o[-1].watch);
        if (i + 1 < MANY)
                watch_stop(&o[1].watch);
}

static void pause_neighbours(One *o)
{
        size_t i = (size_t) (o - o->many->ones);

        if (i > 0)
                watch_pause(&o[-1].watch, true);
        if (i + 1 < MANY)
                watch_pause(&o[1].watch, true);
}

static void mute_neighbours(One *o)
{
        size_t i = (size_t) (o - o->many->ones);

        if (i > 0)
                watch_change(&o[-1].watch, 0);
        if (i + 1 < MANY)
                watch_change(&o[1].watch, 0);
}

/* After a callback has switched off its neighbours nobody of them is called. */
static void test_neighbours(void **state)
{
        static void (*const acts[])(One * o) = {stop_neighbours, pause_neighbours, mute_neighbours};

        for (size_t a = 0; a < ELEMENTSOF(acts); a++) {
                Many m = {};
                unsigned called = 0;

                many_start(&m, *state);
                m.act = acts[a];
                iterate(*state, ROUNDS);
                for (unsigned i = 0; i < MANY; i++) {
                        called += m.ones[i].calls > 0;
                        if (i > 0)
                                assert_false(m.ones[i].calls > 0 && m.ones[i - 1].calls > 0);
                }
                assert_in_range(called, MANY / 3, MANY / 2 + 1);
                many_stop(&m);
        }
}

static void test_many_paused(void **state)
{
        Many m = {};

        many_start(&m, *state);
        for (unsigned i = 0; i < MANY; i++) {
                watch_pause(&m.ones[i].watch, true);
                watch_pause(&m.ones[i].watch, true);
                watch_change(&m.ones[i].watch, i % 2 ? EPOLLIN : EPOLLOUT);
                assert_return_code(
                                shutdown(m.ones[i].peer, SHUT_RDWR), errno); /* not even this is reported */
        }
        iterate(*state, ROUNDS);
        assert_int_equal(m.calls, 0);
        for (unsigned i = 0; i < MANY; i++)
                watch_pause(&m.ones[i].watch, false);
        iterate(*state, ROUNDS);
        for (unsigned i = 0; i < MANY; i++)
                assert_int_equal(m.ones[i].events, EPOLLHUP | (i % 2 ? EPOLLIN : EPOLLOUT));
        many_stop(&m);
}

/* Deferred work has its turn after some hundred callbacks, and not only when nothing is ready any more. */
static void test_put_off_while_many_are_busy(void **state)
{
        PutOff work = {.loop = *state, .work = {.run = run_put_off, .userdata = &work}};
        Many m = {};

        many_start(&m, *state);
        iterate(*state, 1);
        m.calls = 0;
        loop_defer(*state, &work.work);
        while (work.runs == 0 && m.calls < 100000)
                assert_true(sd_event_run(loop_event(*state), 0) >= 0);
        assert_in_range(m.calls, 1, 1000);
        many_stop(&m);
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
                        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_many_paused, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_put_off_while_many_are_busy, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        };

        return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
