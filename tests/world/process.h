/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Machines and processes of a world. A process runs the real code of a daemon on stacks of its own: one for
 * its loop and one for each worker of its database. One thread of the simulator switches between them. So a
 * process can be killed or frozen between any two calls into the world, and everything repeats exactly.
 *
 * A unit test needs neither: without processes the test itself calls the daemons, and nothing takes time. */

#include <systemd/sd-id128.h>

#include "world/disk.h"
#include "world/world.h"

#define PROCESSES_MAX 64u

typedef struct Machine Machine;
typedef struct Process Process;

/* Its files are below "/NAME/". Unix sockets below that path exist on this machine only. The world owns the
 * machine. */
Machine *machine_new(const char *name);
const char *machine_name(const Machine *m);
const char *machine_ip(const Machine *m);     /* its address, for tcp: */
Machine *machine_of_path(const char *path);   /* NULL: of no machine, for unit tests */
Machine *machine_of_ip(const char *ip);       /* NULL: no machine has it */
sd_id128_t machine_boot_id(const Machine *m); /* another one after each loss of power */

/* Kills its processes and loses what is not synced. Until power_on() process_start() does nothing. */
void machine_power_off(Machine *m, FakeLoss loss);
void machine_power_on(Machine *m);
bool machine_is_on(const Machine *m);
/* Nothing of it runs; its clocks go on. Peers see nothing but silence. */
void machine_suspend(Machine *m, bool suspend);
void machine_step_clock(Machine *m, int64_t usec); /* CLOCK_REALTIME only */

/* The world owns it. `name` is unique, and is used in traces. */
Process *process_new(Machine *m, const char *name);
const char *process_name(const Process *p);
Machine *process_machine(const Process *p); /* NULL for NULL */
unsigned process_index(const Process *p);   /* 0, 1, … in the order of process_new() */
Process *process_get(unsigned index);       /* NULL: there are fewer */
unsigned process_starts(const Process *p);  /* how often it was started */

/* Runs `main` on a new stack from the next step on. When `main` returns, the process has exited. Does
 * nothing while it runs, or while the machine is off. */
void process_start(Process *p, int (*main)(void *userdata), void *userdata);
bool process_is_up(const Process *p);
/* SIGTERM or SIGHUP: its loop handles it. */
void process_signal(Process *p, int number);
/* SIGKILL: its memory, connections, listeners and requests are gone at once, its files stay as they are. May
 * be called by the process itself, from inside the world; then it does not return. */
void process_kill(Process *p);
_Noreturn void process_exit(int status);      /* exit() of the current process */
void process_freeze(Process *p, bool freeze); /* SIGSTOP, SIGCONT */
bool process_is_frozen(const Process *p);
/* Called after each end: `killed`, or with the status of `main`. */
void process_on_end(void (*fn)(Process *p, bool killed, int status, void *userdata), void *userdata);

/* One of `n` allocations of this process fails, drawn at random. 0: none. */
void process_fail_allocations(Process *p, unsigned n);
bool process_lacks_memory(const Process *p); /* an allocation may fail now */
size_t process_n_objects(const Process *p);  /* live allocations */
size_t process_n_bytes(const Process *p);
size_t process_n_descriptors(const Process *p); /* connections, listeners, requests, open files */
/* Kills the process at its n-th call into the world from now (a write, a sync, a timer, …). 0: never. */
void process_kill_at(Process *p, unsigned n);
/* The same for sync points: one is right before and one right behind each sync of a file or a directory. */
void process_kill_at_sync(Process *p, unsigned n);
/* The n-th sync from now fails, and the process is killed at a sync point: the `kill_at`-th from there on.
 */
void process_fail_sync(Process *p, unsigned n, unsigned kill_at);
/* Calls `fn` outside of the process at its n-th sync point from now, even if it starts again before. */
void process_on_sync(Process *p, unsigned n, void (*fn)(void *userdata), void *userdata);

/* Runs everything until virtual time is `until`, or until `done` returns true (checked after each step; may
 * be NULL). */
void world_run(uint64_t until_usec, bool (*done)(void *userdata), void *userdata);
uint64_t world_now(void); /* CLOCK_BOOTTIME */

/* Calls `fn` at that time, outside of any process. *ret (may be NULL) is for world_cancel(). */
typedef struct WorldCall WorldCall;
void world_call_at(uint64_t usec, void (*fn)(void *userdata), void *userdata, WorldCall **ret);
void world_cancel(WorldCall *c); /* NULL is fine; not after it was called */

/* Random numbers of the world itself, beside those that the daemons draw; [0, n), n > 0. */
uint64_t world_random(uint64_t n);
uint64_t world_random_between(uint64_t min, uint64_t max); /* both included */

/* Called for each line that a daemon logs. `too_many`: base/log would leave it out, since there were so many
 * with the same format. */
typedef void OnLog(Process *p, int level, const char *text, bool too_many, void *userdata);
void world_on_log(OnLog *fn, void *userdata);

/* For the files of the world. */

/* The process whose code runs now; NULL: the test or the simulator. */
Process *process_current(void);

/* Memory that is allocated in this scope belongs to the world and survives the process. Every function that
 * a daemon calls, and that keeps memory, begins with it. Callbacks into the daemon must be outside of it. */
Process *host_enter(void);
void host_leave(Process **was);
#define HOST_SCOPE __attribute__((cleanup(host_leave), unused)) Process *host_scope_ = host_enter()

/* Something that the kernel takes back when the process ends. Without a current process nothing happens. */
typedef struct Owned Owned;
struct Owned {
        Process *process;
        void (*reclaim)(Owned *o); /* must remove and free it; calls no callback of the daemon */
        Owned *prev, *next;
};
void owned_add(Owned *o, void (*reclaim)(Owned *o));
void owned_remove(Owned *o); /* also safe for a zeroed Owned, and twice */

/* The current thread of the process waits so long; other processes and threads run meanwhile. Returns at
 * once outside of processes. May not return: the process may be killed. */
void thread_pause(uint64_t usec);
/* A point at which the process may be killed (process_kill_at()). */
void kill_point(void);
void sync_point(void);
bool sync_fails(void); /* process_fail_sync() */
