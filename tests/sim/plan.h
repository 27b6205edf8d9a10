/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All that a seed decides before a run: the group, its configuration, the load, and the faults. A plan is a
 * list of steps in order of time. A failing plan is made smaller by leaving out steps, so a step carries
 * everything that it needs. Delays and other small things are drawn during the run, from the same seed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/selector.h"

#define CLIENTS_MAX   4u
#define RECEIVERS_MAX 8u
#define MACHINES_MAX  4u

typedef enum StepKind {
        /* Load. `a`: the client, 0 for c0 */
        STEP_SEND,   /* `message` */
        STEP_BULK,   /* a program opens a stream and sends `b` messages like `message`, numbered from
                        message.number. The i-th (from 0) has the key `message.key + i % message.keys`, and
                        the idempotency number `message.idempotency + i` unless that is 0 */
        STEP_CANCEL, /* message number `b` */
        STEP_REVIVE, /* retry dead letters, up to `b` of them */
        STEP_PURGE,  /* purge dead letters, up to `b` of them */
        STEP_INSIST, /* from now on a program retries dead letters as soon as it hears of them, up to `b` */

        /* Faults. `a`, `b`: numbers of processes (or machines where it is said); `usec`: for how long. What
           still waits for its moment at `faults_end_usec` (…_AT, …_AT_SYNC, LOSE_ANSWERS, DISK_ERROR,
           SYNC_ERROR) does not happen any more. A step that means nothing at its time (a process that is
           down) does nothing. */
        STEP_KILL,          /* `a`; it starts again after `usec` */
        STEP_KILL_AT,       /* `a` dies at its `b`-th call into the world; it starts again after `usec` */
        STEP_KILL_AT_SYNC,  /* `a` dies right before or behind a sync of a file; `b` counts both. It starts
                               again  after `usec` */
        STEP_TERMINATE,     /* SIGTERM to `a`; it starts again after `usec` from its end */
        STEP_POWER_OFF,     /* machine `a`; on after `usec` */
        STEP_FREEZE,        /* `a`, for `usec` */
        STEP_POWER_AT_SYNC, /* the machine of `a` loses power right before or behind a sync of `a`; `b`
                               counts both, also over restarts of `a`. On after `usec` */
        STEP_SUSPEND,       /* machine `a`, for `usec` */
        STEP_RELOAD,        /* SIGHUP to `a` with other values, drawn from `b` */
        STEP_DRAIN,         /* receiver `a`; resumes after `usec` */
        STEP_PARTITION,     /* nothing from machine `a` to `b`, for `usec` */
        STEP_SLOW_LINK,     /* machines `a` to `b`, for `usec` */
        STEP_RESET,         /* connections between `a` and `b` */
        STEP_BLACKHOLE,     /* what `a` writes to `b` is lost (acks, if `a` is a receiver) */
        STEP_STALL,         /* what `a` writes to `b` arrives only after `usec`, on the connections of this
                               moment; what is under way comes even if `a` dies */
        STEP_ORPHAN, /* what client `a` writes from now on arrives only after `usec`, and `a` dies at its
                        `b`-th call into the world; it starts again at once */
        STEP_LOSE_ANSWERS, /* HTTP answers to the next `b` requests of `a` */
        STEP_CLOCK,        /* machine `a`: CLOCK_REALTIME steps by `usec`, backwards if `b` is 1 */
        STEP_DISK_FULL,    /* machine `a`, for `usec` */
        STEP_DISK_SLOW,    /* machine `a`, for `usec` */
        STEP_DISK_HANG,    /* machine `a`, for `usec` */
        STEP_DISK_ERROR,   /* machine `a`: the `b`-th write or sync from now fails, and later ones, too, for
                              `usec` unless that is 0 */
        STEP_SYNC_ERROR, /* the `b`-th sync of `a` fails, and `a` dies next to one of the next few; it starts
                            again after `usec` */
        STEP_MEMORY,     /* one of `b` allocations of `a` fails, for `usec` */
        STEP_HANDLERS,   /* for `usec` handlers at receiver `a` behave as `b` (HandlerMood) says */

        /* Damage to what a process knows, which no promise can undo. The judge excepts what the process knew
           at this moment (judge-steps.c); of a flipped bit it expects that the damage is reported. In plans
           these have profiles of their own: identity, damage, backup. */
        STEP_FLIP,    /* `a` is killed, a bit of its files flips, it starts again after `usec` */
        STEP_RESTORE, /* `a` is killed, its files become those of an earlier moment, it starts again */
        STEP_CLONE,   /* `a` is started a second time, with a copy of its state, for `usec` */
        STEP_FORGET,  /* discovery is killed, loses its registry, and starts again after `usec` */
        STEP_REPLACE, /* receiver `a` is killed; a new one with the same name and no state takes its place */
        _STEP_KIND_MAX,
} StepKind;

typedef enum HandlerMood {
        MOOD_NORMAL,
        MOOD_FAIL, /* they fail, before or after their effect */
        MOOD_REJECT,
        MOOD_HANG,   /* until the time limit */
        MOOD_CANNOT, /* they cannot be started */
        MOOD_KILL,   /* they kill their receiver, after their effect or before it */
        MOOD_TALK,   /* they write many lines to the descriptor for reports */
        MOOD_FORK,   /* they leave a descendant that has an effect later, unless it is killed with them */
        _HANDLER_MOOD_MAX,
} HandlerMood;

typedef struct PlannedMessage {
        unsigned number; /* 0, 1, …; its payload begins with it */
        SelectorMode mode;
        unsigned receiver;    /* mode to: its number */
        unsigned group;       /* other modes: 0 every receiver, 1 or 2 a group */
        unsigned quorum, key; /* key: the number of the ordering key */
        unsigned keys;        /* of a bulk: so many keys, from `key` on; at least 1 */
        unsigned idempotency; /* 0: none; messages of one client with the same number are repeated
                                 submissions */
        unsigned priority;
        unsigned size;                      /* of the payload, bytes */
        uint64_t delay_usec, deadline_usec; /* 0: none; from its submission */
        unsigned max_attempts;              /* 0: no limit */
        bool transient, follow;
        uint64_t work_usec; /* how long its handler takes */
        unsigned poison;    /* its handler kills its receiver in the first so many runs */
        unsigned failures;  /* its handler fails in the first so many runs */
        bool leaves;        /* the caller does not wait for the answer */
} PlannedMessage;

typedef struct Step {
        unsigned index; /* from 1; stays when other steps are left out */
        StepKind kind;
        uint64_t at; /* µs after the beginning of the run */
        unsigned a, b;
        uint64_t usec;
        PlannedMessage message;
} Step;

typedef struct Plan {
        uint64_t seed;
        uint64_t draws; /* the seed of all that is drawn during the run; the same, unless --draws is given */
        const char *profile; /* name of the kind of run, see plan-profile.c */
        unsigned n_machines, n_clients, n_receivers;
        unsigned machine_of_discovery, machine_of_client[CLIENTS_MAX], machine_of_receiver[RECEIVERS_MAX];
        unsigned group_of_receiver[RECEIVERS_MAX]; /* 1 or 2 */
        unsigned concurrency[RECEIVERS_MAX], queue[RECEIVERS_MAX];
        bool activated[RECEIVERS_MAX]; /* systemd holds its sockets */
        uint64_t handler_timeout_usec, stop_timeout_usec, lease_usec, ack_timeout_usec, backoff_usec,
                        backoff_max_usec;
        unsigned outbox_limit, history;
        uint64_t net_min_usec, net_max_usec, write_min_usec, write_max_usec, sync_min_usec, sync_max_usec;
        unsigned net_piece_max;
        uint64_t faults_end_usec; /* all faults are over by then, and all load has been handed over */
        uint64_t patience_usec;   /* after that everything must have ended within so long */
        unsigned n_messages;      /* the numbers of all messages are below */
        Step *steps;              /* in order of time */
        size_t n_steps;
} Plan;

typedef struct PlanLimits {
        unsigned clients, receivers, machines, messages, faults; /* 0: as the seed says */
} PlanLimits;

/* The profile comes from the seed unless `profile` names one. NULL: there is no such profile. */
Plan *plan_new(uint64_t seed, const char *profile, const PlanLimits *limits);
Plan *plan_copy_without(const Plan *p, const bool *left_out); /* by position in `steps` */
Plan *plan_free(Plan *p);
const char *const *plan_profiles(void); /* NULL-terminated */
const char *step_kind_to_string(StepKind kind);
/* One line for people: "1.250 s: r2 is frozen for 3.2 s". Writes at most `size` bytes. */
void step_describe(const Plan *p, const Step *s, char *ret, size_t size);

/* Names of processes: "discovery", "c0" …, "r0" … The processes are made in this order: discovery, clients,
 * receivers; their numbers in steps are their process_index(). */
static inline unsigned plan_n_processes(const Plan *p)
{
        return 1 + p->n_clients + p->n_receivers;
}
static inline unsigned plan_process_of_client(const Plan *p, unsigned client)
{
        return 1 + client;
}
static inline unsigned plan_process_of_receiver(const Plan *p, unsigned receiver)
{
        return 1 + p->n_clients + receiver;
}
#define PROCESS_NAME_MAX 16
const char *plan_process_name(const Plan *p, unsigned process, char ret[static PROCESS_NAME_MAX]);
