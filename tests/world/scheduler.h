/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events in virtual time, and the threads of processes. For the files of the world. */

#include "base/heap.h"
#include "world/process.h"

typedef struct Thread Thread;

struct WorldCall {
        HeapItem item;
        void (*fn)(void *userdata);
        void *userdata;
        bool once; /* the scheduler frees it after the call */
};

/* An event that its owner embeds; `fn` and `userdata` are set once. */
void event_set(WorldCall *e, uint64_t usec); /* replaces an earlier time */
void event_unset(WorldCall *e);
bool event_is_set(const WorldCall *e);
void scheduler_begin(uint64_t seed);
void scheduler_end(void);
void scheduler_set_now(uint64_t usec);

/* Threads. */

Thread *thread_new(Process *p, void (*fn)(void *userdata), void *userdata); /* runs from the next step on */
void thread_drop(Thread *t);                                                /* not the running one */
Thread *thread_running(void);                                               /* NULL: the simulator */
void thread_wait(uint64_t until); /* until thread_wake(), or that time; USEC_INFINITY: no time */
void thread_wake(Thread *t);      /* does nothing while it runs or pauses */
_Noreturn void thread_exit(void);
void threads_continue(Process *p); /* the process is no longer frozen: what was due meanwhile runs */

/* process.c */
bool process_may_run(const Process *p);
void process_reap(void); /* after each step: processes that killed themselves, or whose main returned */
void process_world_end(void);
void process_add_loop(Process *p, Loop *l);
void process_remove_loop(Process *p, Loop *l);
void process_wake(Process *p); /* its main thread; NULL is fine */
/* What becomes ready while the main thread runs must not be missed: look, dispatch, and wait only if it was
 * not woken meanwhile. */
void process_look(Process *p);
bool process_was_woken(const Process *p);
int process_take_signal(Process *p);  /* 0: none */
uint64_t *process_random(Process *p); /* the state of its random numbers */

/* machine.c */
int64_t machine_clock_offset(const Machine *m);
bool machine_may_run(const Machine *m);
void machine_world_end(void);
