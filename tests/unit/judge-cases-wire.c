/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The wire, and bounds. */
#include "judge-cases.h"

#include <syslog.h>

#include "base/time-util.h"
#include "judge-history.h"

static void payload_is_intact(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        if (bad)
                damage_next_run();
        begin_run(R0, 1, TO_R0, 1, 1, false);
}

static void ack_with(const char *reply, bool cut)
{
        wait_usec(1000);
        write_reply(0, TO_R0, 1, 1, reply, cut);
}

static void reply_is_of_its_run(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
        do_run_with_reply(R0, 1, TO_R0, 1, 22);
        do_run_with_reply(R0, 2, TO_R0_AGAIN, 2, 22);
        ack_with(bad ? "message 1 run 2......." : "message 0 run 1.......", false);
}

static void run_with_reply(size_t size)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run_with_reply(R0, 1, TO_R0, 1, size);
}

static void reply_is_whole(bool bad)
{
        run_with_reply(22);
        ack_with(bad ? "message 0 run 1......" : "message 0 run 1.......", false);
}

static void reply_is_there(bool bad)
{
        run_with_reply(bad ? 22 : 0);
        ack_with("", false);
}

static void reply_is_said_to_be_cut(bool bad)
{
        run_with_reply(22);
        ack_with("message 0 run 1.......", bad);
}

static void ended_is_not_sent(bool bad)
{
        accept_message(TO_R0);
        request(OBS_CANCEL, TO_R0);
        if (bad)
                end_message(TO_R0, DELIVERY_CANCELLED, true);
        open_connection(0, 5);
        send_message(0, TO_R0, 1, 1, false);
}

static void sender_flags(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        if (!bad)
                answer(0, TO_R0, 1, 1, OUTCOME_BUSY);
        close_connection(0);
        open_connection(10, 5);
        send_message(10, TO_R0, 1, 1, false);
}

static void failover_only_when_gone(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(ANY);
        send_message(0, ANY, 1, 1, false);
        if (!bad)
                close_connection(0);
        use_stream(1);
        send_message(1, ANY, 1, 1, true);
}

static void to_never_moves(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(bad ? TO_R0 : ANY);
        send_message(0, bad ? TO_R0 : ANY, 1, 1, false);
        close_connection(0);
        use_stream(1);
        send_message(1, bad ? TO_R0 : ANY, 1, 1, true);
}

static void order_per_key(bool bad)
{
        open_connection(0, 5);
        accept_message(KEY);
        accept_message(KEY_NEXT);
        send_message(0, KEY, 1, 1, false);
        if (!bad) {
                do_run(R0, 1, KEY, 1, 1, false);
                answer(0, KEY, 1, 1, OUTCOME_ACKED);
        }
        send_message(0, KEY_NEXT, 2, 1, false);
}

/* The second before the first; no order is known if they were submitted together. */
static void order_of_acceptance(bool bad)
{
        open_connection(0, 5);
        if (bad)
                accept_message(KEY);
        submit(KEY_NEXT);
        if (!bad)
                accept_message(KEY);
        accept_as(KEY_NEXT, KEY_NEXT);
        send_message(0, KEY_NEXT, 1, 1, false);
}

/* The client has reported the acceptance of the first one; its caller hears of it when it asks again. */
static void order_of_repeated(bool bad)
{
        open_connection(0, 5);
        submit(KEY);
        if (bad)
                event(KEY, EVENT_ACCEPTED);
        accept_message(KEY_NEXT);
        accept_message(KEY);
        send_message(0, KEY_NEXT, 1, 1, false);
}

static void sequence_is_unique(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        send_message(0, TO_R0_AGAIN, bad ? 1 : 2, 1, false);
}

/* A stream of an earlier start gives out no sequences. */
static void stream_is_of_one_start(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        kill_process(C0);
        start(C0);
        load(TO_R0, DELIVERY_BOUND);
        loaded();
        open_connection(10, 5);
        accept_message(TO_R0_AGAIN);
        use_stream(!bad);
        send_message(10, TO_R0_AGAIN, 2, 1, false);
}

static void settled_is_final(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        end_message(TO_R0, DELIVERY_ACKED, true);
        settled(0, bad ? 2 : 1, false);
        send_message(0, TO_R0, 1, 1, true);
}

static void settled_is_ended(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        if (!bad) {
                do_run(R0, 1, TO_R0, 1, 1, false);
                answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
                end_message(TO_R0, DELIVERY_ACKED, true);
        }
        settled(0, 2, false);
}

/* The settlement was announced, but not on disk. Nobody is told of the ends of bulk messages. */
static void settled_is_synced(bool bad)
{
        open_connection(0, 5);
        accept_message(MANY);
        send_message(0, MANY, 1, 1, false);
        do_run(R0, 1, MANY, 1, 1, false);
        answer(0, MANY, 1, 1, OUTCOME_ACKED);
        if (bad)
                settled(0, 2, false);
        kill_process(C0);
        start(C0);
        load(MANY, DELIVERY_BOUND);
}

static void credit_is_kept(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        if (!bad)
                credit(0, 2);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
}

/* After the ack timeout the attempt is over. */
static void credit_of_expired(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        wait_usec(bad ? USEC_PER_SEC / 2 : 2 * USEC_PER_SEC);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
}

/* `working` goes on with an attempt that is not over; it does not bring one back. */
static void credit_of_late_working(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        wait_usec(bad ? USEC_PER_SEC / 2 : 2 * USEC_PER_SEC);
        answer(0, TO_R0, 1, 1, OUTCOME_WORKING);
        wait_usec(USEC_PER_SEC * 3 / 4);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
}

/* The receiver still has a message whose sender only wants its end. */
static void credit_of_cancelled(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        request(OBS_CANCEL, TO_R0);
        cancel_frame(0, TO_R0, 1);
        if (!bad)
                answer(0, TO_R0, 1, 1, OUTCOME_CANCELLED);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
}

static void window_is_kept(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, bad ? 17 : 16, 1, false);
}

static void hello_first(bool bad)
{
        accept_message(TO_R0);
        hello(0);
        if (!bad)
                open_connection(10, 5);
        send_message(bad ? 0 : 10, TO_R0, 1, 1, false);
}

static void goodbye_is_respected(bool bad)
{
        const Frame f = {.type = FRAME_GOODBYE, .reason = GOODBYE_STOPPING};

        open_connection(0, 5);
        accept_message(TO_R0);
        pass_frame(0, false, &f);
        if (bad)
                pass_frame(0, true, &f);
        send_message(0, TO_R0, 1, 1, false);
}

static void wire_is_frames(bool bad)
{
        static const uint8_t text[] = "this receiver is another one";
        const Frame f = {.type = FRAME_ERROR, .text = {text, sizeof text - 1}};

        hello(0);
        if (bad)
                open_connection(10, 5);
        pass_frame(bad ? 10 : 0, false, &f);
}

static void attempts_grow(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        if (!bad)
                no_ack(0, TO_R0, 1);
        send_message(0, TO_R0, 1, 2, true);
}

static void attempts_do_not_shrink(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        no_ack(0, TO_R0, 1);
        send_message(0, TO_R0, 1, 2, false);
        if (!bad) { /* a crash may lose the newest attempts */
                kill_process(C0);
                start(C0);
                load(TO_R0, DELIVERY_BOUND);
        }
        open_connection(10, 5);
        send_message(10, TO_R0, 1, 1, true);
}

static void timeouts_take_their_time(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        event_at(0, TO_R0, EVENT_SENT, 1);
        wait_usec(bad ? USEC_PER_SEC / 2 : USEC_PER_SEC);
        no_ack(0, TO_R0, 1);
}

static void answer_for_asked(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        if (bad)
                write_message(0, TO_R0, 1, 1, false);
        else
                send_message(0, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_WORKING);
}

static void answer_is_true(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        end_run(1, bad ? RUN_FAILED : RUN_DONE);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
}

/* A handler may reach its time limit before it comes to life. */
static void failed_is_true(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        wait_usec((bad ? 19 : 20) * USEC_PER_SEC);
        answer(0, TO_R0, 1, 1, OUTCOME_FAILED);
}

static void busy_is_true(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        if (bad)
                begin_run(R0, 1, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_BUSY);
}

static void settled_is_true(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        if (!bad) {
                do_run(R0, 1, TO_R0, 1, 1, false);
                answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
                end_message(TO_R0, DELIVERY_ACKED, true);
                settled(0, 2, false);
        }
        answer(0, TO_R0, 1, 1, OUTCOME_SETTLED);
}

static void no_conflict(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, bad ? OUTCOME_CONFLICT : OUTCOME_WORKING);
}

static void retries_are_bounded(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        for (unsigned i = 0; i < 150; i++) {
                send_message(0, TO_R0, 1, 1, i > 0);
                wait_usec(bad ? USEC_PER_SEC / 4 : USEC_PER_SEC);
        }
}

static void no_storms(bool bad)
{
        for (unsigned i = 0; i < 800; i++) {
                hello(10 * i);
                wait_usec(bad ? 0 : 100 * USEC_PER_MSEC);
        }
}

static void log_is_bounded(bool bad)
{
        for (unsigned i = 0; i < 2100; i++) {
                log_line(R0, LOG_INFO);
                wait_usec(bad ? 0 : 30 * USEC_PER_MSEC);
        }
}

static void dedup_is_bounded(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        end_message(TO_R0, DELIVERY_ACKED, true);
        faults_end();
        settled(0, 2, false);
        wait_usec(20 * USEC_PER_SEC);
        kill_process(C0);
        observe_dedup(R0, bad, 1);
}

static void memory_is_bounded(bool bad)
{
        faults_end();
        observe_memory(R0, bad ? 1000000 : 1000);
}

const JudgeCase judge_cases_wire[] = {
                {"payload-is-intact", payload_is_intact},
                {"reply-is-intact", reply_is_of_its_run},
                {"reply-is-intact", reply_is_whole},
                {"reply-is-intact", reply_is_there},
                {"reply-is-intact", reply_is_said_to_be_cut},
                {"ended-is-not-sent", ended_is_not_sent},
                {"sender-flags", sender_flags},
                {"failover-only-when-gone", failover_only_when_gone},
                {"failover-only-when-gone", to_never_moves},
                {"order-per-key", order_per_key},
                {"order-per-key", order_of_acceptance},
                {"order-per-key", order_of_repeated},
                {"sequence-is-unique", sequence_is_unique},
                {"sequence-is-unique", stream_is_of_one_start},
                {"settled-is-final", settled_is_final},
                {"settled-is-ended", settled_is_ended},
                {"settled-is-ended", settled_is_synced},
                {"credit-is-kept", credit_is_kept},
                {"credit-is-kept", credit_of_expired},
                {"credit-is-kept", credit_of_late_working},
                {"credit-is-kept", credit_of_cancelled},
                {"window-is-kept", window_is_kept},
                {"hello-first", hello_first},
                {"goodbye-is-respected", goodbye_is_respected},
                {"wire-is-frames", wire_is_frames},
                {"attempts-grow", attempts_grow},
                {"attempts-grow", attempts_do_not_shrink},
                {"attempts-grow", timeouts_take_their_time},
                {"answer-for-asked", answer_for_asked},
                {"answer-is-true", answer_is_true},
                {"answer-is-true", failed_is_true},
                {"answer-is-true", busy_is_true},
                {"answer-is-true", settled_is_true},
                {"no-conflict", no_conflict},
                {"retries-are-bounded", retries_are_bounded},
                {"no-storms", no_storms},
                {"log-is-bounded", log_is_bounded},
                {"dedup-is-bounded", dedup_is_bounded},
                {"memory-is-bounded", memory_is_bounded},
                {},
};
