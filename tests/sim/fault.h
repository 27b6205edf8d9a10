/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The faults of a plan. A fault begins with its step; what lasts is undone after the time of the step, or at
 * the end of all faults. Several faults of one target are counted: it is whole again when the last of them
 * has ended. */

#include "sim/actor.h"

/* When all faults are over, no link and no call of a disk needs longer. */
#define CALM_MAX_USEC (100 * USEC_PER_MSEC)

void faults_begin(void); /* an empty list, for a new run */
void fault_begin(const Step *step);
/* Undoes everything that still goes on, and everything that waits for its moment. */
void faults_end_all(void);

/* How often something happened. */
typedef struct FaultCounts {
        uint64_t n_flips, n_lost_power;
} FaultCounts;
FaultCounts *fault_counts(void);

/* For the files of the faults. */

typedef struct Fault Fault;
struct Fault {
        const Step *step;
        const struct FaultKind *kind;
        WorldCall *end;
        Actor *actor;     /* process `a` of the step, or NULL */
        Machine *machine; /* machine `a` of the step, or NULL */
        unsigned life;    /* process_starts() of the actor at the beginning */
        bool lasts;       /* until the end of all faults */
        Actor *copy;
        bool has_struck; /* what waited for its moment has come */
        Fault *prev, *next;
};

typedef struct FaultKind {
        bool of_machine; /* `a` is a machine, not a process */
        bool of_receiver;
        bool (*begin)(Fault *f); /* false: it means nothing now */
        void (*end)(Fault *f);   /* NULL: nothing to undo */
} FaultKind;

extern const FaultKind fault_kill, fault_kill_at, fault_kill_at_sync, fault_terminate, fault_freeze,
                fault_reload, fault_memory, fault_sync_error, fault_power_at_sync, fault_orphan,
                fault_power_off, fault_suspend, fault_clock;
extern const FaultKind fault_partition, fault_slow_link, fault_reset, fault_blackhole, fault_stall,
                fault_lose_answers;
extern const FaultKind fault_disk_full, fault_disk_slow, fault_disk_hang, fault_disk_error, fault_flip,
                fault_restore, fault_clone, fault_forget, fault_replace;
extern const FaultKind fault_drain, fault_handlers;

/* It is killed, and does not start until fault_release(), which may be the `end` of a fault. */
void fault_kill_and_hold(Actor *a);
void fault_release(Fault *f);
/* Of a fault that lasts until the end of all faults otherwise. */
void fault_end_at(Fault *f, uint64_t usec);
/* The actor with that number, which may be down; NULL: there is none. */
Actor *fault_target(unsigned number);

/* fault-process.c */
void power_faults_begin(void);
/* fault-network.c */
void network_faults_begin(void);
void network_faults_end(void);
void network_stall(const Actor *from, const Actor *to, uint64_t usec);
/* fault-state.c: keeps copies for the steps that restore them. */
void state_faults_begin(void);
void state_faults_end(void);
