/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What handlers do in a run of the simulator (sim/handler.h). */

#include "handler-fixture.h"

#include "sim/handler.h"

#define N_MESSAGES 400u
#define N_SEEN     20000u

static Plan plan;
static PlannedMessage messages[N_MESSAGES];
static uint8_t payloads[N_MESSAGES][64];

/* What was observed. */

static struct {
        Observation all[N_SEEN];
        size_t n;
        uint64_t hash;
        size_t n_of[_OBS_MAX];
        size_t n_ends[RUN_KILLED + 1];
} seen;

/* Each run begins, has at most one effect, and ends, in this order. */
static enum { NONE, BEGUN, HAD_EFFECT, OVER } states[N_SEEN];

static uint64_t mix(uint64_t hash, uint64_t value)
{
        return (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15) >> 7 ^ hash << 3;
}

void observe(Observation o)
{
        o.at = world_now();
        if (o.kind == OBS_RUN_MISSED) {
                assert_int_equal(o.number, 0);
                seen.n_of[o.kind]++;
                seen.all[0] = o;
                return;
        }
        assert_in_range(o.number, 1, N_SEEN - 1);
        assert_ptr_equal(o.process, fixture.process);
        if (seen.n < N_SEEN)
                seen.all[seen.n++] = o;
        seen.n_of[o.kind]++;
        seen.hash = mix(mix(mix(mix(seen.hash, o.at), o.kind), o.number), (unsigned) o.detail);
        switch (o.kind) {
        case OBS_RUN:
                assert_int_equal(states[o.number], NONE);
                states[o.number] = BEGUN;
                break;
        case OBS_EFFECT:
                assert_int_equal(states[o.number], BEGUN);
                states[o.number] = HAD_EFFECT;
                break;
        case OBS_RUN_END:
                assert_in_range(states[o.number], BEGUN, HAD_EFFECT);
                states[o.number] = OVER;
                seen.n_ends[o.detail]++;
                break;
        default:
                fail();
        }
}

static const PlannedMessage *find(uint64_t number, void *userdata)
{
        return number < N_MESSAGES ? messages + number : NULL;
}

static void begin(void)
{
        fixture_begin();
        memset(&seen, 0, sizeof seen);
        memset(states, 0, sizeof states);
        plan = (Plan){.n_messages = N_MESSAGES};
        for (unsigned i = 0; i < N_MESSAGES; i++)
                messages[i] = (PlannedMessage){.number = i, .size = i % 64, .work_usec = 2 * USEC_PER_SEC};
        handlers_begin(&plan, find, NULL);
        fixture_start();
}

static void end(void)
{
        handlers_end();
        fixture_end();
}

static int setup(void **state)
{
        begin();
        return 0;
}

static int teardown(void **state)
{
        end();
        return 0;
}

static Order *order(unsigned i)
{
        const size_t size = payload_size(messages + i);

        payload_fill(i, payloads[i], size);
        return fixture_order(payloads[i], size);
}

static void order_all(unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                order(i);
}

static void expect_all_over(void)
{
        assert_int_equal(seen.n_of[OBS_RUN], handlers_n_runs());
        assert_int_equal(seen.n_of[OBS_EFFECT], handlers_n_effects());
        assert_int_equal(seen.n_of[OBS_RUN_END], seen.n_of[OBS_RUN]);
        assert_int_equal(child_n_alive(), 0);
}

/* Payloads and replies. */

static void test_payloads(void **state)
{
        uint8_t bytes[64];
        uint64_t number;

        for (size_t size = PAYLOAD_SIZE_MIN; size <= sizeof bytes; size++) {
                payload_fill(77, bytes, size);
                assert_true(payload_read(bytes, size, &number));
                assert_int_equal(number, 77);
                for (size_t i = 0; i < size; i++) {
                        bytes[i] ^= 4;
                        assert_false(payload_read(bytes, size, &number));
                        bytes[i] ^= 4;
                }
        }
        assert_false(payload_read(bytes, PAYLOAD_SIZE_MIN - 1, &number));
}

static void test_replies(void **state)
{
        uint64_t message, run;

        assert_true(reply_read("", 0, &message, &run));
        assert_true(reply_read("message 12 run 34....", 21, &message, &run));
        assert_int_equal(message, 12);
        assert_int_equal(run, 34);
        assert_false(reply_read("message 12 run 34...x", 21, &message, &run));
        assert_false(reply_read("message 12 run", 14, &message, &run));
}

/* Runs. */

static void test_one_run(void **state)
{
        Order *o = order(5);
        uint64_t message, run;

        o->is_flagged = true;
        fixture_run(10 * USEC_PER_SEC);
        assert_int_equal(seen.n, 3);
        const Observation *r = seen.all;
        assert_int_equal(r->kind, OBS_RUN);
        assert_int_equal(r->number, 1);
        assert_int_equal(r->message, 5);
        assert_int_equal(r->sequence, UINT64_MAX);
        assert_int_equal(r->attempt, 3);
        assert_int_equal(r->stream.bytes[15], 1);
        assert_int_equal(r->receiver.bytes[15], 2);
        assert_int_equal(r->id.bytes[15], 1);
        assert_true(r->flagged);
        assert_int_equal(r->detail, 0);
        assert_int_equal(seen.all[1].kind, OBS_EFFECT);
        assert_int_equal(seen.all[2].kind, OBS_RUN_END);
        assert_int_equal(seen.all[2].message, 5);
        assert_int_equal(seen.all[2].detail, RUN_DONE);
        assert_in_range(seen.all[2].at - r->at, USEC_PER_SEC, 12 * USEC_PER_SEC);
        assert_int_equal(o->n_done, 1);
        assert_int_equal(o->status, 0);
        assert_true(reply_read(o->output, MIN(o->output_size, sizeof o->output - 1), &message, &run));
        if (o->output_size > 0)
                assert_true(message == 5 && run == 1);
        expect_all_over();
}

static void test_damaged_payload(void **state)
{
        Order *o = order(5);

        payloads[5][6] ^= 1;
        fixture_run(10 * USEC_PER_SEC);
        assert_int_equal(seen.all[0].message, 0);
        assert_int_equal(seen.all[0].detail, 1);
        assert_int_equal(o->n_done, 1);
}

static void test_many_runs(void **state)
{
        order_all(N_MESSAGES);
        fixture_run(20 * USEC_PER_SEC);
        expect_all_over();
        assert_int_equal(seen.n_of[OBS_RUN], N_MESSAGES);
        assert_in_range(seen.n_ends[RUN_KILLED], 0, 10); /* took too long */
        assert_int_equal(seen.n_ends[RUN_DONE] + seen.n_ends[RUN_KILLED], N_MESSAGES);
        assert_in_range(seen.n_of[OBS_EFFECT], seen.n_ends[RUN_DONE], N_MESSAGES);
}

static void test_failures(void **state)
{
        fixture.timeout_usec = 60 * USEC_PER_SEC;
        fixture.repeats = true;
        for (unsigned i = 0; i < 100; i++)
                messages[i].failures = i % 4;
        order_all(100);
        fixture_run(100 * USEC_PER_SEC);
        expect_all_over();
        assert_int_equal(seen.n_ends[RUN_FAILED], 25 * (0 + 1 + 2 + 3));
        assert_int_equal(seen.n_ends[RUN_DONE], 100);
        assert_in_range(seen.n_of[OBS_EFFECT], 150, 200);
}

static void start_again(void *userdata)
{
        fixture_restart();
}

static void restart(Process *p, bool killed, int status, void *userdata)
{
        if (killed)
                world_call_at(world_now() + USEC_PER_SEC, start_again, NULL, NULL);
}

static void test_poison(void **state)
{
        fixture.repeats = true;
        process_on_end(restart, NULL);
        for (unsigned i = 0; i < 10; i++)
                messages[i].poison = 2;
        order_all(10);
        fixture_run(200 * USEC_PER_SEC);
        expect_all_over();
        assert_true(seen.n_ends[RUN_DONE] >= 10); /* more: the receiver died before it knew */
        assert_true(seen.n_ends[RUN_KILLED] >= 20);
        assert_in_range(process_starts(fixture.process), 3, 21);
        process_on_end(NULL, NULL);
}

/* Moods. */

static void run_in_mood(HandlerMood mood)
{
        fixture.repeats = true;
        process_on_end(restart, NULL);
        order_all(50);
        handlers_set_mood_of(fixture.process, mood);
        fixture_run(20 * USEC_PER_SEC);
        handlers_set_mood_of(fixture.process, MOOD_NORMAL);
        fixture_run(100 * USEC_PER_SEC);
        expect_all_over();
        for (unsigned i = 0; i < 50; i++)
                assert_true(fixture.orders[i].n_done > 0 && !fixture.orders[i].is_due);
        process_on_end(NULL, NULL);
}

static void test_moods(void **state)
{
        size_t n_ends[_HANDLER_MOOD_MAX][RUN_KILLED + 1];

        for (HandlerMood mood = 0; mood < _HANDLER_MOOD_MAX; mood++) {
                run_in_mood(mood);
                memcpy(n_ends[mood], seen.n_ends, sizeof seen.n_ends);
                if (mood == MOOD_KILL)
                        assert_true(process_starts(fixture.process) > 2);
                if (mood == MOOD_TALK)
                        assert_true(fixture.orders[0].n_lines > 10);
                end();
                begin();
        }
        assert_true(n_ends[MOOD_FAIL][RUN_FAILED] > 10);
        assert_true(n_ends[MOOD_REJECT][RUN_REJECTED] > 10);
        assert_true(n_ends[MOOD_HANG][RUN_KILLED] > 10);
        assert_true(n_ends[MOOD_FORK][RUN_FAILED] > 10);
        assert_true(n_ends[MOOD_NORMAL][RUN_FAILED] == 0);
}

/* A descendant whose leader has failed has its effect only while the receiver has not seen that. */
static void test_descendants(void **state)
{
        handlers_set_mood_of(fixture.process, MOOD_FORK);
        order_all(200);
        fixture_run(USEC_PER_MSEC);
        fixture_run(500 * USEC_PER_MSEC);
        process_freeze(fixture.process, true);
        fixture_run(60 * USEC_PER_SEC);
        assert_int_equal(seen.n_of[OBS_RUN_END], 0);
        assert_int_equal(seen.n_of[OBS_EFFECT], 200);
        process_freeze(fixture.process, false);
        fixture_run(USEC_PER_SEC);
        assert_int_equal(seen.n_of[OBS_RUN_END], 200);
        expect_all_over();
}

/* Its time limit is over before it has begun. */
static void test_missed_run(void **state)
{
        fixture.timeout_usec = USEC_PER_MSEC;
        child_set_start_delay(10 * USEC_PER_MSEC, 10 * USEC_PER_MSEC);
        Order *o = order(7);
        fixture_run(USEC_PER_SEC);
        assert_true(o->timed_out);
        assert_int_equal(seen.n_of[OBS_RUN], 0);
        assert_int_equal(seen.n_of[OBS_RUN_MISSED], 1);
        assert_int_equal(seen.all[0].message, 7);
        assert_int_equal(seen.all[0].state, process_starts(fixture.process));

        /* If its receiver is killed, nobody sees that. */
        fixture.timeout_usec = USEC_PER_SEC;
        order(8);
        fixture_run(2 * USEC_PER_MSEC);
        process_kill(fixture.process);
        fixture_run(USEC_PER_SEC);
        assert_int_equal(seen.n_of[OBS_RUN_MISSED], 1);
}

static void test_repeats_exactly(void **state)
{
        uint64_t hashes[2];

        for (unsigned i = 0; i < 2; i++) {
                run_in_mood(MOOD_KILL);
                hashes[i] = seen.hash;
                end();
                begin();
        }
        assert_true(hashes[0] == hashes[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                        cmocka_unit_test(test_payloads),
                        cmocka_unit_test(test_replies),
                        TEST(test_one_run),
                        TEST(test_damaged_payload),
                        TEST(test_many_runs),
                        TEST(test_failures),
                        TEST(test_poison),
                        TEST(test_moods),
                        TEST(test_descendants),
                        TEST(test_missed_run),
                        TEST(test_repeats_exactly),
        };

        return cmocka_run_group_tests_name("sim-handler", tests, NULL, NULL);
}
