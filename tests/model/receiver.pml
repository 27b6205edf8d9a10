/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The receivers: one process for each activity. */

#if defined(DEADLY) && N > 1
#define IS_CHARGING(r) (ran[AT(r, 0)] == 3 || ran[AT(r, 1)] == 3)
#elif defined(DEADLY)
#define IS_CHARGING(r) (ran[AT(r, 0)] == 3)
#else
#define IS_CHARGING(r) false
#endif

/* A message during which the receiver died runs alone, until one of its runs has ended. */
#if defined(SUSPECTS_TOGETHER)
#define MUST_RUN_ALONE(x) false
#elif defined(ALONE_ONCE)
#define MUST_RUN_ALONE(x) (ran[x] == 2)
#else
#define MUST_RUN_ALONE(x) (ran[x] >= 2)
#endif
#if N > 1
#define OTHER(r, m) AT(r, 1 - (m))
#define MAY_BEGIN(r, m) (job[OTHER(r, m)] != 4 || !job_alone[AT(r, m)] && !job_alone[OTHER(r, m)])
#else
#define MAY_BEGIN(r, m) true
#endif

proctype receiver_reads(byte r)
{
        byte m, a, x;
        bool flag;
        mtype what;
end:
        do
        :: atomic {
                !gone[r] && !IS_CHARGING(r) && len(to_sender[r]) < CAPACITY && len(to_receiver[r]) > 0 ->
                to_receiver[r]?what, m, a, flag;
                x = AT(r, m);
                if
                :: what == SETTLED ->
                        settled[x] = true; recorded[x] = 0; cancelled[x] = false
                :: what == CANCEL ->
                        if
                        :: job[x] == 2 || job[x] == 3 /* its outcome is the answer */
                        :: job[x] != 2 && job[x] != 3 && settled[x] -> to_sender[r]!ALREADY, m, a
                        :: job[x] != 2 && job[x] != 3 && !settled[x] && recorded[x] == 1 -> to_sender[r]!ACKED, m, a
                        :: job[x] != 2 && job[x] != 3 && !settled[x] && recorded[x] != 1 ->
                                /* A handler that runs is killed. */
                                job[x] = 0; job_attempt[x] = 0; job_flagged[x] = false; job_alone[x] = false;
                                ran[x] = (ran[x] == 1 -> 0 : ran[x]); ran_attempt[x] = (ran[x] == 0 -> 0 : ran_attempt[x]);
                                recorded[x] = 0; cancelled[x] = true;
                                to_sender[r]!CANCELLED, m, a
                        fi
                :: what == MESSAGE ->
                        if
                        :: job[x] != 0 ->
                                if
                                :: a > job_attempt[x] -> job_attempt[x] = a
                                :: else
                                fi;
                                to_sender[r]!WORKING, m, a
                        :: job[x] == 0 && settled[x] -> to_sender[r]!ALREADY, m, a
                        :: job[x] == 0 && !settled[x] && cancelled[x] -> to_sender[r]!CANCELLED, m, a
                        :: job[x] == 0 && !settled[x] && recorded[x] == 1 -> to_sender[r]!ACKED, m, a
                        :: job[x] == 0 && !settled[x] && recorded[x] >= 2 && recorded[x] - 2 >= a ->
                                to_sender[r]!FAILED, m, a
                        :: job[x] == 0 && !settled[x] && !cancelled[x] && (recorded[x] == 0 || recorded[x] >= 2 && recorded[x] - 2 < a) ->
                                if
                                :: refusals < REFUSALS -> refusals++; to_sender[r]!BUSY, m, a
                                :: job[x] = 1; job_attempt[x] = a; job_flagged[x] = flag; job_alone[x] = MUST_RUN_ALONE(x)
                                fi
                        fi
                fi;
                m = 0; a = 0; x = 0; flag = false; what = 0
        }
        od
}

#ifdef DEADLY
#define RUNS 4
#define IS_DEADLY(m) m == 0
#else
#define RUNS 1
#define IS_DEADLY(m) false
#endif

/* Runs the handler, records the outcome, answers. */
proctype receiver_works(byte r; byte m)
{
        byte other, i, n;
end:
        do
#ifdef DEADLY
        /* It is in the file of runs before it begins. */
        :: d_step {
                job[AT(r, m)] == 1 && !IS_CHARGING(r) && MAY_BEGIN(r, m) ->
                job[AT(r, m)] = 4; ran[AT(r, m)] = 1; ran_attempt[AT(r, m)] = job_attempt[AT(r, m)];
                /* A death is no excuse for a run without the flag. */
                assert(deaths[AT(r, m)] == 0 || job_flagged[AT(r, m)])
        }
        :: atomic {
                m == 0 && job[AT(r, m)] == 4 ->
                deaths[AT(r, m)]++;
                /* Once more than it may be tried: the first time others may run beside it. */
                assert(deaths[AT(r, m)] <= MAX_ATTEMPTS + 1);
                die(r)
        }
        /* It is on disk that this attempt has failed, before anything else is read. */
        :: d_step {
                ran[AT(r, m)] == 3 ->
                if
                :: !settled[AT(r, m)] && !cancelled[AT(r, m)] && recorded[AT(r, m)] != 1 &&
                                recorded[AT(r, m)] < 2 + ran_attempt[AT(r, m)] ->
                        recorded[AT(r, m)] = 2 + ran_attempt[AT(r, m)]
                :: else
                fi;
                ran[AT(r, m)] = 4
        }
#endif
        :: atomic {
                !gone[r] && job[AT(r, m)] == RUNS && !(IS_DEADLY(m)) ->
                ran[AT(r, m)] = 0; ran_attempt[AT(r, m)] = 0; job_alone[AT(r, m)] = false;
                if
                :: failures < FAILURES -> failures++; job[AT(r, m)] = 3
                :: true ->
                        /* No run after an ack; a second run only in the gap, and only with the duplicate flag. */
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
