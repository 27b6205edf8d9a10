/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sender: one process for each activity. */

/* The step of by_event in from_state. */
inline delivery()
{
        c_code {
                DeliveryStep step;
                now.known = delivery_step(now.from_state, now.by_event, &step);
                now.next_state = now.known ? step.next : 0;
                now.actions = now.known ? step.actions : 0;
        };
        from_state = 0; by_event = 0
}

#ifdef DEADLY
#define IS_LAST_ATTEMPT(m) (m == 0 && attempts[m] + 1 >= MAX_ATTEMPTS)
#define IS_OVER(m) (state[m] == ST_ACKED || state[m] == ST_DEAD)
#else
#define IS_LAST_ATTEMPT(m) false
#define IS_OVER(m) (state[m] == ST_ACKED)
#endif

/* One event of message m: does what the table says. */
inline take(m, event)
{
        from_state = state[m]; by_event = event;
        if
        /* There is no further attempt. */
        :: IS_LAST_ATTEMPT(m) && from_state != ST_GIVING_UP && by_event == EV_ANSWER_FAILED -> by_event = EV_EXHAUSTED
        :: IS_LAST_ATTEMPT(m) && from_state != ST_GIVING_UP && by_event == EV_TIMEOUT -> by_event = EV_GIVE_UP
        :: else
        fi;
        delivery();
        if
        :: known ->
                state[m] = next_state;
                if
                /* The last failure and the end are one write, which is not synced yet. */
                :: (actions & ACT_CHARGE) && !(actions & ACT_SETTLE) && attempts[m] < 3 -> attempts[m]++
                :: else
                fi;
                if
                :: actions & ACT_SETTLE -> unsynced[m] = true
                :: else
                fi;
                if
                /* Durable first: the wish is on disk before it is announced. */
                :: actions & ACT_ASK_CANCEL -> disk_state[m] = state[m]
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

/* The connection to r ends: the sender notices, and sends again on the next one. */
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

/* Is message m in the network or at work at r? Then an ack may still come. */
inline is_under_way(r, m)
{
        under_way = job[AT(r, m)] != 0 || to_receiver[r]??[MESSAGE, eval(m), _, _] ||
                to_sender[r]??[ACKED, eval(m), _] || to_sender[r]??[ALREADY, eval(m), _] ||
                to_sender[r]??[FAILED, eval(m), _] || to_sender[r]??[BUSY, eval(m), _] ||
                to_sender[r]??[WORKING, eval(m), _] || to_receiver[r]??[CANCEL, eval(m), _, _] ||
                to_sender[r]??[CANCELLED, eval(m), _]
}

/* Every step ends with its local variables at 0, so that they do not multiply the states. */
#define ANSWER_OF(m, a, event)                                                                          \
        if                                                                                              \
        :: receiver[m] == r && (event != EV_ANSWER_FAILED && event != EV_ANSWER_BUSY || a == attempts[m]) -> \
                take(m, event);                                                                         \
                if                                                                                      \
                :: event == EV_ANSWER_BUSY && state[m] == ST_BOUND && receiver[m] < R - 1 && !duplicate[m] && calls[m] <= 1 -> \
                        sent_once[m] = false; take(m, EV_UNBIND)                                        \
                :: else                                                                                 \
                fi                                                                                      \
        :: else                                                                                         \
        fi

byte calls[N]; /* sends under this binding, counted up to 2 */

/* Separate processes, so that weak fairness lets each activity happen. */
proctype sender_binds(byte m)
{
        byte r;
end:
        do
        :: d_step {
                state[m] == ST_QUEUED ->
                /* Never to the same receiver twice: the message would get another sequence, which the model lacks. */
                r = (gone[0] || moved[m] -> R - 1 : 0);
                /* Durable first: the binding is on disk before it is used. */
                disk_state[m] = ST_BOUND; disk_receiver[m] = r; disk_duplicate[m] = duplicate[m];
                receiver[m] = r; calls[m] = 0; sent_once[m] = false;
                take(m, EV_BIND);
                r = 0
        }
        /* Nobody is left who could answer. */
        :: d_step {
                gone[receiver[m]] && (state[m] == ST_BOUND || state[m] == ST_WAITING) ->
                if
                :: state[m] == ST_BOUND && sent_once[m] -> take(m, EV_GONE)
                :: else -> take(m, EV_UNBIND)
                fi
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
                :: what == CANCELLED -> ANSWER_OF(m, a, EV_ANSWER_CANCELLED)
                :: what == ALREADY ->
                        /* A pruned record is never needed again: only a sender that knows the end gets this answer. */
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
#ifdef DEADLY
        /* Given up after a last attempt without an answer: its receiver is asked until it answers. */
        :: d_step {
                state[m] == ST_GIVING_UP && len(to_receiver[receiver[m]]) < CAPACITY ->
                is_under_way(receiver[m], m);
                if
                :: !under_way -> take(m, EV_TIMEOUT); to_receiver[receiver[m]]!CANCEL, m, 0, false
                :: else
                fi;
                under_way = false
        }
#endif
        od
}

/* The settlement is synced, then announced, and announced again on every new connection. */
proctype sender_settles(byte m)
{
end:
        do
        :: d_step { unsynced[m] -> disk_state[m] = state[m]; unsynced[m] = false }
        :: d_step {
                (disk_state[m] == ST_ACKED || disk_state[m] == ST_DEAD) && !announced[m] && !gone[receiver[m]] &&
                                len(to_receiver[receiver[m]]) < CAPACITY ->
                to_receiver[receiver[m]]!SETTLED, m, 0, false; announced[m] = true
        }
        od
}
