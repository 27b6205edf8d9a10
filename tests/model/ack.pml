/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contract of docs/PROTOCOL.md, for SPIN. One sender with N messages, R receivers, and a network that loses,
 * doubles and reorders frames and resets connections; both sides crash. What goes wrong does so a bounded number of
 * times: behind that the channel is fair.
 *
 * The sender's steps are those of src/model/delivery.c itself, which the verifier is linked with; delivery.pml holds
 * its numbers. An event of the code that is neither used here nor named as left out fails the check.
 *
 * left out: EV_CANCEL EV_CANCEL_UNSENT EV_ANSWER_CANCELLED EV_GONE EV_ANSWER_REJECTED EV_ANSWER_CONFLICT
 * left out: EV_EXHAUSTED EV_GIVE_UP EV_GIVE_UP_UNSENT EV_REVIVE EV_GATHER EV_GATHERED
 *
 * Broken on purpose: -DACK_BEFORE_COMMIT, -DPRUNE_TOO_EARLY. */

#include "delivery.pml"

c_decl {
\#include "model/delivery.h"
}

#ifndef N
#define N 2 /* messages; each is its own sequence at every receiver */
#endif
#ifndef R
#define R 1 /* receivers; with 2 the messages are for anybody, and receiver 0 may go for good */
#endif

/* How often. */
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef DOUBLES
#define DOUBLES 1
#endif
#ifndef TURNS
#define TURNS 1
#endif
#ifndef RESETS
#define RESETS 1
#endif
#ifndef RECEIVER_CRASHES
#define RECEIVER_CRASHES 1
#endif
#ifndef SENDER_CRASHES
#define SENDER_CRASHES 1
#endif
#ifndef FAILURES
#define FAILURES 1
#endif
#ifndef EARLY_TIMEOUTS
#define EARLY_TIMEOUTS 1
#endif
#ifndef REFUSALS
#define REFUSALS 1
#endif

#define CAPACITY 3

mtype = { MESSAGE, SETTLED, ACKED, FAILED, BUSY, WORKING, ALREADY };

/* type, message, attempt, possible duplicate */
chan to_receiver[R] = [CAPACITY] of { mtype, byte, byte, bool };
chan to_sender[R] = [CAPACITY] of { mtype, byte, byte };

/* The sender: on disk. */
byte disk_state[N];
byte disk_receiver[N];
bool disk_duplicate[N];
bool moved[N];
/* In memory. */
byte state[N];
byte receiver[N];
byte attempts[N];
bool sent_once[N];
bool duplicate[N];
bool unsynced[N]; /* its end is not on disk yet */
bool announced[N];

/* Receiver r, message m is at r * N + m: on disk. */
#define AT(r, m) ((r) * N + (m))
byte recorded[R * N]; /* 0 nothing, 1 acked, 2 + a: attempt a failed */
bool settled[R * N];
/* In memory: 0 nothing, 1 running, 2 its effect is there, 3 it failed. */
byte job[R * N];
byte job_attempt[R * N];
bool job_flagged[R * N];

bool gone[R]; /* for good: not listed, not connected */

/* For the invariants. */
byte effects[R * N];
byte gaps[R * N]; /* crashes behind the effect and before its record: the named gap */
bool ack_left[R * N];

byte losses, doubles, turns, resets, receiver_crashes, sender_crashes, failures, early_timeouts, refusals;
bool known;
byte from_state, by_event, next_state, actions;

inline delivery(from, event)
{
        from_state = from; by_event = event;
        c_code {
                DeliveryStep step;
                now.known = delivery_step(now.from_state, now.by_event, &step);
                now.next_state = now.known ? step.next : 0;
                now.actions = now.known ? step.actions : 0;
        };
        from_state = 0; by_event = 0
}

#define IS_OVER(m) (state[m] == ST_ACKED)

/* One event of message m; does what the table asks for. */
inline take(m, event)
{
        delivery(state[m], event);
        if
        :: known ->
                state[m] = next_state;
                if
                :: (actions & ACT_CHARGE) && attempts[m] < 3 -> attempts[m]++
                :: else
                fi;
                if
                :: actions & ACT_SETTLE -> unsynced[m] = true
                :: else
                fi;
                if
                :: actions & ACT_DROP_BINDING ->
                        duplicate[m] = duplicate[m] || sent_once[m];
                        disk_duplicate[m] = duplicate[m];
                        disk_state[m] = ST_QUEUED;
                        moved[m] = true;
                        sent_once[m] = false
                :: else
                fi
        :: else
        fi;
        known = false; next_state = 0; actions = 0
}

inline empty_channels(r)
{
        do
        :: len(to_receiver[r]) > 0 -> to_receiver[r]?_,_,_,_
        :: len(to_sender[r]) > 0 -> to_sender[r]?_,_,_
        :: len(to_receiver[r]) == 0 && len(to_sender[r]) == 0 -> break
        od
}

/* The end of the connection to r: the sender notices, and asks again on the next one. */
inline disconnect(r)
{
        empty_channels(r);
        i = 0;
        do
        :: i < N ->
                if
                :: receiver[i] == r && state[i] == ST_SENT -> take(i, EV_DISCONNECT)
                :: else
                fi;
                i++
        :: else -> break
        od;
        i = 0
}

/* What is in the network or at work for message m: then an ack may still come. */
inline is_under_way(r, m)
{
        under_way = job[AT(r, m)] != 0 || to_receiver[r]??[MESSAGE, eval(m), _, _] ||
                to_sender[r]??[ACKED, eval(m), _] || to_sender[r]??[ALREADY, eval(m), _] ||
                to_sender[r]??[FAILED, eval(m), _] || to_sender[r]??[BUSY, eval(m), _] ||
                to_sender[r]??[WORKING, eval(m), _]
}

/* Every local variable is 0 again at the end of a step, so that it does not multiply the states. */
#define ANSWER_OF(m, a, event)                                                                          \
        if                                                                                              \
        :: receiver[m] == r && (event != EV_ANSWER_FAILED && event != EV_ANSWER_BUSY || a == attempts[m]) -> \
                take(m, event);                                                                         \
                if                                                                                      \
                :: event == EV_ANSWER_BUSY && state[m] == ST_WAITING && receiver[m] < R - 1 && !duplicate[m] && calls[m] <= 1 -> \
                        sent_once[m] = false; take(m, EV_UNBIND)                                        \
                :: else                                                                                 \
                fi                                                                                      \
        :: else                                                                                         \
        fi

byte calls[N]; /* on the wire under this binding, up to 2 */

/* One process for each thing that is done, so that weak fairness lets each of them happen. */
proctype sender_binds(byte m)
{
        byte r;
end:
        do
        :: d_step {
                state[m] == ST_QUEUED ->
                /* Never a second time to the same one: there it would have another sequence, which is not modelled. */
                r = (gone[0] || moved[m] -> R - 1 : 0);
                /* Durable first: bound is on disk when it is bound. */
                disk_state[m] = ST_BOUND; disk_receiver[m] = r; disk_duplicate[m] = duplicate[m];
                receiver[m] = r; calls[m] = 0; sent_once[m] = false;
                take(m, EV_BIND);
                r = 0
        }
        /* Nobody is left there who could answer. */
        :: d_step {
                gone[receiver[m]] && (state[m] == ST_BOUND || state[m] == ST_WAITING) -> take(m, EV_UNBIND)
        }
        od
}

proctype sender_writes(byte m)
{
end:
        do
        :: d_step {
                state[m] == ST_BOUND && !gone[receiver[m]] && len(to_receiver[receiver[m]]) < CAPACITY ->
                to_receiver[receiver[m]]!MESSAGE, m, attempts[m], (duplicate[m] || sent_once[m]);
                sent_once[m] = true;
                if
                :: calls[m] < 2 -> calls[m]++
                :: else
                fi;
                take(m, EV_WRITE)
        }
        od
}

proctype sender_reads(byte r)
{
        byte m, a;
        mtype what;
end:
        do
        :: d_step {
                to_sender[r]?what, m, a ->
                if
                :: what == ACKED -> ANSWER_OF(m, a, EV_ANSWER_ACKED)
                :: what == FAILED -> ANSWER_OF(m, a, EV_ANSWER_FAILED)
                :: what == BUSY -> ANSWER_OF(m, a, EV_ANSWER_BUSY)
                :: what == WORKING -> ANSWER_OF(m, a, EV_ANSWER_WORKING)
                :: what == ALREADY ->
                        /* A pruned record is never needed again: only a sender that knows the end is told so. */
                        assert(IS_OVER(m) || receiver[m] != r);
                        ANSWER_OF(m, a, EV_ANSWER_SETTLED)
                fi;
                m = 0; a = 0; what = 0
        }
        od
}

proctype sender_waits(byte m)
{
        bool under_way;
end:
        do
        :: d_step {
                state[m] == ST_SENT ->
                is_under_way(receiver[m], m);
                if
                :: !under_way -> take(m, EV_TIMEOUT)
                :: under_way && early_timeouts < EARLY_TIMEOUTS -> early_timeouts++; take(m, EV_TIMEOUT)
                :: else
                fi;
                under_way = false
        }
        :: d_step { state[m] == ST_WAITING -> take(m, EV_DUE) }
        od
}

/* The settlement is synced, and only then announced; said again until it is known to have arrived, as every new
 * connection does. */
proctype sender_settles(byte m)
{
end:
        do
        :: d_step { unsynced[m] -> disk_state[m] = ST_ACKED; unsynced[m] = false }
        :: d_step {
                disk_state[m] == ST_ACKED && !announced[m] && !gone[receiver[m]] &&
                                len(to_receiver[receiver[m]]) < CAPACITY ->
                to_receiver[receiver[m]]!SETTLED, m, 0, false; announced[m] = true
        }
        od
}

proctype receiver_reads(byte r)
{
        byte m, a, x;
        bool flag;
        mtype what;
end:
        do
        :: atomic {
                !gone[r] && len(to_sender[r]) < CAPACITY && len(to_receiver[r]) > 0 ->
                to_receiver[r]?what, m, a, flag;
                x = AT(r, m);
                if
                :: what == SETTLED ->
                        settled[x] = true; recorded[x] = 0
                :: else ->
                        if
                        :: job[x] != 0 ->
                                if
                                :: a > job_attempt[x] -> job_attempt[x] = a
                                :: else
                                fi;
                                to_sender[r]!WORKING, m, a
                        :: job[x] == 0 && settled[x] -> to_sender[r]!ALREADY, m, a
                        :: job[x] == 0 && !settled[x] && recorded[x] == 1 -> to_sender[r]!ACKED, m, a
                        :: job[x] == 0 && !settled[x] && recorded[x] >= 2 && recorded[x] - 2 >= a ->
                                to_sender[r]!FAILED, m, a
                        :: job[x] == 0 && !settled[x] && (recorded[x] == 0 || recorded[x] >= 2 && recorded[x] - 2 < a) ->
                                if
                                :: refusals < REFUSALS -> refusals++; to_sender[r]!BUSY, m, a
                                :: job[x] = 1; job_attempt[x] = a; job_flagged[x] = flag
                                fi
                        fi
                fi;
                m = 0; a = 0; x = 0; flag = false; what = 0
        }
        od
}

/* Handler, record, answer. */
proctype receiver_works(byte r; byte m)
{
        byte other;
end:
        do
        :: atomic {
                !gone[r] && job[AT(r, m)] == 1 ->
                if
                :: failures < FAILURES -> failures++; job[AT(r, m)] = 3
                :: true ->
                        /* Never again behind an ack; again only in the gap; and a second time only when told so. */
                        assert(!ack_left[AT(r, m)]);
                        assert(effects[AT(r, m)] <= gaps[AT(r, m)]);
                        other = 0;
                        do
                        :: other < R ->
                                assert(effects[AT(other, m)] == 0 || job_flagged[AT(r, m)]);
                                other++
                        :: else -> break
                        od;
                        other = 0;
                        effects[AT(r, m)]++;
                        job[AT(r, m)] = 2
                fi
        }
#ifdef ACK_BEFORE_COMMIT
        :: atomic {
                !gone[r] && job[AT(r, m)] == 2 && !ack_left[AT(r, m)] && len(to_sender[r]) < CAPACITY ->
                ack_left[AT(r, m)] = true;
                to_sender[r]!ACKED, m, job_attempt[AT(r, m)]
        }
        :: d_step {
                !gone[r] && job[AT(r, m)] == 2 && ack_left[AT(r, m)] ->
                recorded[AT(r, m)] = 1; job[AT(r, m)] = 0
        }
#else
        :: atomic {
                !gone[r] && job[AT(r, m)] == 2 && len(to_sender[r]) < CAPACITY ->
                recorded[AT(r, m)] = 1; job[AT(r, m)] = 0; ack_left[AT(r, m)] = true;
                to_sender[r]!ACKED, m, job_attempt[AT(r, m)];
#ifdef PRUNE_TOO_EARLY
                recorded[AT(r, m)] = 0
#endif
        }
#endif
        :: atomic {
                !gone[r] && job[AT(r, m)] == 3 && len(to_sender[r]) < CAPACITY ->
                recorded[AT(r, m)] = 2 + job_attempt[AT(r, m)]; job[AT(r, m)] = 0;
                to_sender[r]!FAILED, m, job_attempt[AT(r, m)]
        }
        od
}

/* Everything that goes wrong. */
inline restart_announcing()
{
        i = 0;
        do
        :: i < N -> announced[i] = false; i++
        :: else -> break
        od;
        i = 0
}

inline kill_jobs(r)
{
        i = 0;
        do
        :: i < N ->
                if
                :: job[AT(r, i)] == 2 && !ack_left[AT(r, i)] -> gaps[AT(r, i)]++
                :: else
                fi;
                job[AT(r, i)] = 0; job_attempt[AT(r, i)] = 0; job_flagged[AT(r, i)] = false;
                i++
        :: else -> break
        od;
        i = 0
}

/* Everything that goes wrong. */
proctype trouble()
{
        byte r, i, m, a;
        bool flag;
        mtype what;
end:
        do
        :: atomic {
                losses < LOSSES -> select(r : 0 .. R - 1); losses++;
                if
                :: len(to_receiver[r]) > 0 -> to_receiver[r]?what, m, a, flag; 
                        /* What is announced is announced again on the next connection. */
                        if
                        :: what == SETTLED -> announced[m] = false
                        :: else
                        fi
                :: len(to_sender[r]) > 0 -> to_sender[r]?_,_,_
                :: len(to_receiver[r]) == 0 && len(to_sender[r]) == 0
                fi;
                r = 0; m = 0; a = 0; flag = false; what = 0
        }
        :: atomic {
                doubles < DOUBLES -> select(r : 0 .. R - 1); doubles++;
                if
#if R == 1
                /* A stream does not do so. Where there is another receiver that matters: "busy" about the only frame
                 * that there was is believed. Frames that are sent again are doubles enough. */
                :: len(to_receiver[r]) > 0 && len(to_receiver[r]) < CAPACITY ->
                        to_receiver[r]?<what, m, a, flag>; to_receiver[r]!what, m, a, flag
#endif
                :: len(to_sender[r]) > 0 && len(to_sender[r]) < CAPACITY -> to_sender[r]?<what, m, a>; to_sender[r]!what, m, a
                :: true
                fi;
                r = 0; m = 0; a = 0; flag = false; what = 0
        }
        :: atomic {
                turns < TURNS -> select(r : 0 .. R - 1); turns++;
                if
                :: len(to_receiver[r]) > 0 -> to_receiver[r]?what, m, a, flag; to_receiver[r]!what, m, a, flag
                :: len(to_sender[r]) > 0 -> to_sender[r]?what, m, a; to_sender[r]!what, m, a
                :: len(to_receiver[r]) == 0 && len(to_sender[r]) == 0
                fi;
                r = 0; m = 0; a = 0; flag = false; what = 0
        }
        :: atomic { resets < RESETS -> select(r : 0 .. R - 1); resets++; restart_announcing(); disconnect(r); r = 0 }
        :: atomic {
                receiver_crashes < RECEIVER_CRASHES -> select(r : 0 .. R - 1); receiver_crashes++;
                kill_jobs(r); restart_announcing(); disconnect(r); r = 0
        }
        :: atomic {
                sender_crashes < SENDER_CRASHES -> sender_crashes++;
                r = 0;
                do
                :: r < R -> empty_channels(r); r++
                :: else -> break
                od;
                restart_announcing();
                i = 0;
                do
                :: i < N ->
                        /* Whether it was on the wire nobody knows: every send of it may be a duplicate. */
                        state[i] = disk_state[i]; receiver[i] = disk_receiver[i]; unsynced[i] = false;
                        duplicate[i] = disk_duplicate[i] || disk_state[i] == ST_BOUND;
                        sent_once[i] = false; calls[i] = 0;
                        i++
                :: else -> break
                od;
                i = 0; r = 0
        }
#if R > 1
        /* It leaves for good: not listed, not connected. What was bound there goes to another. */
        :: atomic {
                !gone[0] ->
                kill_jobs(0); gone[0] = true; disconnect(0)
        }
#endif
        od
}

init {
        byte k;

        atomic {
                run trouble();
                for (k : 0 .. N - 1) {
                        run sender_binds(k);
                        run sender_settles(k);
                        run sender_writes(k);
                        run sender_waits(k)
                }
                for (k : 0 .. R - 1) {
                        run sender_reads(k);
                        run receiver_reads(k);
                        run receiver_works(k, 0);
#if N > 1
                        run receiver_works(k, 1)
#endif
                }
        }
}

#if N > 1
#define ALL_ACKED (disk_state[0] == ST_ACKED && disk_state[1] == ST_ACKED)
#else
#define ALL_ACKED (disk_state[0] == ST_ACKED)
#endif
ltl eventually_acked { <> ALL_ACKED }
