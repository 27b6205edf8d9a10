/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "world/inside.h"
#include "world/memory.h"
#include "world/scheduler.h"

struct Process {
        Machine *machine;
        char name[24];
        unsigned index, n_starts, n_frozen;
        bool up, ending; /* ending: it is reaped after this step */
        bool killed, woken;
        int status;
        int (*main)(void *userdata);
        void *userdata;
        Thread *thread;
        Loop *loop;
        unsigned terminate, reload;
        Owned *owned;
        MemoryHead *memory;
        size_t n_objects, n_bytes;
        unsigned refuse_one_in, kill_at, kill_at_sync, fail_sync_at, kill_after_failure, call_at_sync;
        void (*on_sync)(void *userdata);
        void *on_sync_userdata;
        uint64_t random, refusals;
};

static Process *processes[PROCESSES_MAX];
static unsigned n_processes;
static bool anybody_ends;
static void (*on_end)(Process *p, bool killed, int status, void *userdata);
static void *on_end_userdata;

void process_world_end(void)
{
        for (unsigned i = 0; i < n_processes; i++)
                process_kill(processes[i]);
        process_reap();
        while (n_processes > 0)
                free(processes[--n_processes]);
        on_end = NULL;
}

Process *process_new(Machine *m, const char *name)
{
        Process *p = calloc(1, sizeof *p);

        assert(p && n_processes < PROCESSES_MAX && strlen(name) < sizeof p->name);
        p->machine = m;
        strcpy(p->name, name);
        p->index = n_processes;
        processes[n_processes++] = p;
        return p;
}

const char *process_name(const Process *p)
{
        return p->name;
}

Machine *process_machine(const Process *p)
{
        return p ? p->machine : NULL;
}

unsigned process_index(const Process *p)
{
        return p->index;
}

Process *process_get(unsigned index)
{
        return index < n_processes ? processes[index] : NULL;
}

unsigned process_starts(const Process *p)
{
        return p->n_starts;
}

bool process_is_up(const Process *p)
{
        return p->up && !p->ending;
}

bool process_is_frozen(const Process *p)
{
        return p->n_frozen > 0;
}

bool process_may_run(const Process *p)
{
        return p->n_frozen == 0 && machine_may_run(p->machine);
}

void process_on_end(void (*fn)(Process *p, bool killed, int status, void *userdata), void *userdata)
{
        on_end = fn;
        on_end_userdata = userdata;
}

/* Life. */

static void run(void *userdata)
{
        Process *p = userdata;

        p->status = p->main(p->userdata);
        p->ending = true;
        anybody_ends = true;
}

void process_start(Process *p, int (*fn)(void *userdata), void *userdata)
{
        if (p->up || !machine_is_on(p->machine))
                return;
        p->up = true;
        p->ending = p->killed = false;
        p->n_starts++;
        p->n_frozen = 0;
        p->terminate = p->reload = 0;
        p->kill_at = p->kill_at_sync = p->fail_sync_at = 0;
        p->main = fn;
        p->userdata = userdata;
        p->random = world_random(UINT64_MAX);
        p->thread = thread_new(p, run, p);
}

static void reap(Process *p)
{
        const bool killed = p->killed;

        while (p->owned) {
                Owned *o = p->owned;

                owned_remove(o);
                o->reclaim(o);
        }
        thread_drop(p->thread);
        p->thread = NULL;
        p->loop = NULL;
        while (p->memory)
                free(p->memory + 1);
        assert(p->n_objects == 0);
        p->up = p->ending = false;
        if (on_end)
                on_end(p, killed, p->status, on_end_userdata);
}

void process_reap(void)
{
        if (!anybody_ends)
                return;
        anybody_ends = false;
        for (unsigned i = 0; i < n_processes; i++)
                if (processes[i]->ending)
                        reap(processes[i]);
}

void process_kill(Process *p)
{
        if (!p->up || p->ending)
                return;
        p->ending = p->killed = true;
        anybody_ends = true;
        if (process_current() == p)
                thread_exit();
        if (!process_current())
                process_reap();
}

void process_exit(int status)
{
        Process *p = process_current();

        p->status = status;
        p->ending = anybody_ends = true;
        thread_exit();
}

void process_freeze(Process *p, bool freeze)
{
        if (freeze)
                p->n_frozen++;
        else if (p->n_frozen > 0 && --p->n_frozen == 0)
                threads_continue(p);
}

void kill_point(void)
{
        Process *p = process_current();

        if (p && p->kill_at > 0 && --p->kill_at == 0)
                process_kill(p);
}

void process_kill_at(Process *p, unsigned n)
{
        p->kill_at = n;
}

void sync_point(void)
{
        Process *p = process_current();

        if (p && p->call_at_sync > 0 && --p->call_at_sync == 0) {
                world_call_at(world_now(), p->on_sync, p->on_sync_userdata, NULL);
                thread_pause(1); /* until then */
        }
        if (p && p->kill_at_sync > 0 && --p->kill_at_sync == 0)
                process_kill(p);
}

bool sync_fails(void)
{
        Process *p = process_current();

        if (!p || p->fail_sync_at == 0 || --p->fail_sync_at > 0)
                return false;
        p->kill_at_sync = p->kill_after_failure;
        return true;
}

void process_fail_sync(Process *p, unsigned n, unsigned kill_at)
{
        p->fail_sync_at = n;
        p->kill_after_failure = kill_at;
}

void process_on_sync(Process *p, unsigned n, void (*fn)(void *userdata), void *userdata)
{
        p->call_at_sync = n;
        p->on_sync = fn;
        p->on_sync_userdata = userdata;
}

void process_kill_at_sync(Process *p, unsigned n)
{
        p->kill_at_sync = n;
}

/* Signals. */

void process_signal(Process *p, int number)
{
        if (!process_is_up(p))
                return;
        if (!p->loop) { /* nothing handles it yet */
                process_kill(p);
                return;
        }
        if (number == SIGHUP)
                p->reload++;
        else
                p->terminate++;
        process_wake(p);
}

int process_take_signal(Process *p)
{
        if (p->terminate > 0) {
                p->terminate--;
                return SIGTERM;
        }
        if (p->reload > 0) {
                p->reload = 0;
                return SIGHUP;
        }
        return 0;
}

void process_add_loop(Process *p, Loop *l)
{
        if (p)
                p->loop = l;
}

void process_remove_loop(Process *p, Loop *l)
{
        if (p && p->loop == l)
                p->loop = NULL;
}

void process_wake(Process *p)
{
        if (!p || !p->thread)
                return;
        p->woken = true;
        thread_wake(p->thread);
}

void process_look(Process *p)
{
        p->woken = false;
}

bool process_was_woken(const Process *p)
{
        return p->woken;
}

uint64_t *process_random(Process *p)
{
        return &p->random;
}

/* What the kernel takes back. */

void owned_add(Owned *o, void (*reclaim)(Owned *o))
{
        Process *p = process_current();

        *o = (Owned){.process = p, .reclaim = reclaim};
        if (p)
                DL_PREPEND(p->owned, o);
}

void owned_remove(Owned *o)
{
        if (o->process)
                DL_DELETE(o->process->owned, o);
        o->process = NULL;
}

/* Memory. */

void process_fail_allocations(Process *p, unsigned n)
{
        p->refuse_one_in = n;
}

bool process_lacks_memory(const Process *p)
{
        return p->refuse_one_in > 0;
}

bool memory_is_refused(Process *p)
{
        if (p->refuse_one_in == 0)
                return false;
        p->refusals = p->refusals * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407) +
                      p->random % 2;
        return (p->refusals >> 33) % p->refuse_one_in == 0;
}

void memory_add(Process *p, MemoryHead *head)
{
        if (p->memory) {
                head->next = p->memory;
                head->prev = p->memory->prev;
                head->prev->next = head->next->prev = head;
        }
        p->memory = head;
        p->n_objects++;
        p->n_bytes += head->size;
}

void memory_remove(MemoryHead *head)
{
        Process *p = head->process;

        if (!p)
                return;
        if (p->memory == head)
                p->memory = head->next == head ? NULL : head->next;
        head->prev->next = head->next;
        head->next->prev = head->prev;
        p->n_objects--;
        p->n_bytes -= head->size;
}

size_t process_n_objects(const Process *p)
{
        return p->n_objects;
}

size_t process_n_bytes(const Process *p)
{
        return p->n_bytes;
}

size_t process_n_descriptors(const Process *p)
{
        const Owned *o;
        size_t n = 0;

        DL_FOREACH(p->owned, o)
                n++;
        return n;
}
