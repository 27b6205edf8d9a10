/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of sender, receivers and network, and how often each fault happens. */

#ifndef N
#define N 2 /* messages; each has a sequence of its own at every receiver */
#endif
#ifndef R
#define R 1 /* receivers; with 2 the mode is "any", and receiver 0 may leave for good */
#endif

/* How often each fault happens, at most. */
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

/* With -DDEADLY the handler of message 0 kills its receiver, each time that it runs; that message is tried twice. */
#define MAX_ATTEMPTS 2

#define CAPACITY 3

mtype = { MESSAGE, SETTLED, ACKED, FAILED, BUSY, WORKING, ALREADY, CANCEL, CANCELLED };

/* type, message, attempt, possible duplicate */
chan to_receiver[R] = [CAPACITY] of { mtype, byte, byte, bool };
chan to_sender[R] = [CAPACITY] of { mtype, byte, byte };

/* The sender, on disk. */
byte disk_state[N];
byte disk_receiver[N];
bool disk_duplicate[N];
bool moved[N];
/* The sender, in memory. */
byte state[N];
byte receiver[N];
byte attempts[N];
bool sent_once[N];
bool duplicate[N];
bool unsynced[N]; /* its settlement is not on disk yet */
bool announced[N];

/* The receivers, on disk. Receiver r, message m is at r * N + m. */
#define AT(r, m) ((r) * N + (m))
byte recorded[R * N]; /* 0: nothing; 1: acked; 2 + a: attempt a failed */
bool settled[R * N];
bool cancelled[R * N];
/* The file of runs, which a crash leaves as it is. 0: nothing; 1: runs; 2: the receiver died, and others ran, too; 3: it ran
 * alone, so this attempt has failed; 4: and that is recorded. */
byte ran[R * N];
byte ran_attempt[R * N];
/* The receivers, in memory. 0: nothing; 1: running, or it waits for that; 2: the effect is there; 3: it failed; 4: with
 * -DDEADLY, running. */
byte job[R * N];
bool job_alone[R * N];
byte job_attempt[R * N];
bool job_flagged[R * N];

bool gone[R]; /* for good: not listed, not connected */

/* For the invariants. */
byte effects[R * N];
byte gaps[R * N]; /* crashes after the effect and before its record: the gap that PROTOCOL.md names */
bool ack_left[R * N];
byte deaths[R * N]; /* so often this message has killed its receiver */

byte losses, doubles, turns, resets, receiver_crashes, sender_crashes, failures, early_timeouts, refusals;
bool known;
byte from_state, by_event, next_state, actions;
