/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The receivers: one process for each activity. */

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

/* Runs the handler, records the outcome, answers. */
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
