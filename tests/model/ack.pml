/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* docs/PROTOCOL.md as a model for SPIN: one sender with N messages, R receivers, and a network that loses, duplicates
 * and reorders frames and resets connections. Both sides crash. Every fault happens a bounded number of times; after
 * that the channel is fair.
 *
 * The verifier is linked with src/model/delivery.c, so the sender takes the code's own steps; delivery.pml has the
 * numbers. Every event of the code must be used here or listed as left out, else the check fails.
 *
 * left out: EV_CANCEL EV_CANCEL_UNSENT EV_ANSWER_REJECTED EV_ANSWER_CONFLICT
 * left out: EV_GIVE_UP_UNSENT EV_REVIVE EV_GATHER EV_GATHERED
 *
 * With -DDEADLY the handler of message 0 kills its receiver. The death is charged, so this message comes to its end after a
 * bounded number of deaths, the other one is acked, and pays for none of them.
 *
 * Broken on purpose: -DACK_BEFORE_COMMIT, -DPRUNE_TOO_EARLY; with -DDEADLY also -DNO_CHARGE (a death costs no attempt), -DCHARGE_ALL (it costs
 * everybody who ran one), -DSUSPECTS_TOGETHER (who ran meanwhile does not run alone), -DALONE_ONCE (only until a death is charged). */

#include "delivery.pml"

c_decl {
\#include "model/delivery.h"
}

#include "state.pml"
#include "sender.pml"
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
                job[AT(r, i)] = 0; job_alone[AT(r, i)] = false; job_attempt[AT(r, i)] = 0; job_flagged[AT(r, i)] = false;
                i++
        :: else -> break
        od;
        i = 0
}

/* The receiver dies, and starts again. If one handler ran alone, its attempt has failed. */
inline die(r)
{
        n = 0; i = 0;
        do
        :: i < N -> n = n + (ran[AT(r, i)] == 1 -> 1 : 0); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < N ->
                if
#if defined(NO_CHARGE)
                :: ran[AT(r, i)] == 1 -> ran[AT(r, i)] = 2
#elif defined(CHARGE_ALL)
                :: ran[AT(r, i)] == 1 -> ran[AT(r, i)] = 3
#else
                :: ran[AT(r, i)] == 1 -> ran[AT(r, i)] = (n == 1 -> 3 : 2)
#endif
                :: else
                fi;
                /* The message that does not kill pays for no death but those that nobody has caused. */
                assert(i == 0 || ran[AT(r, i)] != 3 || receiver_crashes > 0);
                i++
        :: else -> break
        od;
        n = 0;
        kill_jobs(r); restart_announcing(); disconnect(r)
}

#include "receiver.pml"

/* Everything that goes wrong. */
proctype trouble()
{
        byte r, i, n, m, a;
        bool flag;
        mtype what;
end:
        do
        :: atomic {
                losses < LOSSES -> select(r : 0 .. R - 1); losses++;
                if
                :: len(to_receiver[r]) > 0 -> to_receiver[r]?what, m, a, flag; 
                        /* The sender announces it again on the next connection. */
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
                /* A connection does not duplicate frames. With a second receiver that matters: "busy" about the only frame
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
                die(r); r = 0
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
                        /* Nobody knows whether it was on the wire, so every send of it may be a duplicate. */
                        state[i] = disk_state[i]; receiver[i] = disk_receiver[i]; unsynced[i] = false;
                        duplicate[i] = disk_duplicate[i] || disk_state[i] == ST_BOUND;
                        sent_once[i] = false; calls[i] = 0;
                        i++
                :: else -> break
                od;
                i = 0; r = 0
        }
#if R > 1
        /* It leaves for good: not listed, not connected. Its messages go to the other one. */
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

#ifdef DEADLY
#define IS_RIGHT(m) (m == 0 && disk_state[m] == ST_DEAD || m > 0 && disk_state[m] == ST_ACKED)
#else
#define IS_RIGHT(m) (disk_state[m] == ST_ACKED)
#endif
#if N > 1
#define ALL_RIGHT (IS_RIGHT(0) && IS_RIGHT(1))
#else
#define ALL_RIGHT IS_RIGHT(0)
#endif
ltl eventually_right { <> ALL_RIGHT }
