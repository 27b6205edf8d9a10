/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faults of disks, and of what is on them. */

#include <stdio.h>
#include <string.h>

#include "base/time-util.h"
#include "sim/fault.h"
#include "world/inside.h"
#include "world/process-child.h"

/* A slow disk. */
#define SLOW_MIN_USEC (50 * USEC_PER_MSEC)
#define SLOW_MAX_USEC (500 * USEC_PER_MSEC)

static struct {
        unsigned n_full, n_slow, n_hanging;
} disks[MACHINES_MAX];
static bool calm;

static void set_speed(unsigned machine)
{
        const Plan *p = sim.plan;
        const uint64_t longest = calm ? CALM_MAX_USEC : USEC_INFINITY;

        if (disks[machine].n_slow > 0)
                disk_set_speed(sim.machines[machine], SLOW_MIN_USEC / 10, SLOW_MAX_USEC / 10, SLOW_MIN_USEC,
                                SLOW_MAX_USEC);
        else
                disk_set_speed(sim.machines[machine], MIN(p->write_min_usec, longest),
                                MIN(p->write_max_usec, longest), MIN(p->sync_min_usec, longest),
                                MIN(p->sync_max_usec, longest));
}

static bool begin_full(Fault *f)
{
        if (disks[f->step->a].n_full++ == 0)
                disk_set_full(f->machine, true);
        return true;
}

static void end_full(Fault *f)
{
        if (--disks[f->step->a].n_full == 0)
                disk_set_full(f->machine, false);
}

const FaultKind fault_disk_full = {.of_machine = true, .begin = begin_full, .end = end_full};

static bool begin_slow(Fault *f)
{
        disks[f->step->a].n_slow++;
        set_speed(f->step->a);
        return true;
}

static void end_slow(Fault *f)
{
        disks[f->step->a].n_slow--;
        set_speed(f->step->a);
}

const FaultKind fault_disk_slow = {.of_machine = true, .begin = begin_slow, .end = end_slow};

static bool begin_hang(Fault *f)
{
        if (disks[f->step->a].n_hanging++ == 0)
                disk_hang(f->machine, true);
        return true;
}

static void end_hang(Fault *f)
{
        if (--disks[f->step->a].n_hanging == 0)
                disk_hang(f->machine, false);
}

const FaultKind fault_disk_hang = {.of_machine = true, .begin = begin_hang, .end = end_hang};

static bool begin_error(Fault *f)
{
        const DiskCall call = world_random(2) ? DISK_SYNC : DISK_WRITE;

        disk_fail(f->machine, call, f->step->b, f->step->usec > 0);
        f->lasts = f->step->usec == 0;
        return true;
}

static void end_error(Fault *f)
{
        for (DiskCall call = 0; call < _DISK_CALL_MAX; call++)
                disk_fail(f->machine, call, 0, false);
}

const FaultKind fault_disk_error = {.of_machine = true, .begin = begin_error, .end = end_error};

/* State directories. */

static bool begin_flip(Fault *f)
{
        static const char *const suffixes[] = {"", ".redo", ".db", "-wal"};

        fault_kill_and_hold(f->actor);
        if (disk_flip_bit(f->actor->directory, suffixes[world_random(ELEMENTSOF(suffixes))]))
                fault_counts()->n_flips++;
        return true;
}

const FaultKind fault_flip = {.begin = begin_flip, .end = fault_release};

static void backup_path(char ret[static 64], const Actor *a, unsigned step)
{
        (void) snprintf(ret, 64, "/%s/backup-%u", machine_name(a->machine), step);
}

static void on_backup(void *userdata)
{
        const Step *s = userdata;
        const Actor *a = fault_target(s->a);
        char path[64];

        if (!a)
                return;
        backup_path(path, a, s->index);
        disk_copy(a->directory, path);
}

static bool begin_restore(Fault *f)
{
        char path[64];

        fault_kill_and_hold(f->actor);
        backup_path(path, f->actor, f->step->index);
        /* Who restores files has seen the service stop. The lock of its warden goes with the files. */
        child_end_warden(f->actor->process);
        disk_remove_all(f->actor->directory);
        disk_copy(path, f->actor->directory);
        return true;
}

const FaultKind fault_restore = {.begin = begin_restore, .end = fault_release};

void state_faults_begin(void)
{
        memset(disks, 0, sizeof disks);
        calm = false;
        for (unsigned i = 0; i < sim.plan->n_machines; i++)
                set_speed(i);
        for (size_t i = 0; i < sim.plan->n_steps; i++) {
                Step *s = sim.plan->steps + i;

                if (s->kind == STEP_RESTORE)
                        world_call_at(world_now() + world_random(s->at + 1), on_backup, s, NULL);
        }
}

void state_faults_end(void)
{
        calm = true;
        for (unsigned i = 0; i < sim.plan->n_machines; i++)
                set_speed(i);
}

static bool begin_clone(Fault *f)
{
        f->copy = actor_copy(f->actor);
        if (!f->copy)
                return false;
        actor_release(f->copy);
        return true;
}

static void end_clone(Fault *f)
{
        fault_kill_and_hold(f->copy);
        disk_remove_all(f->copy->directory);
}

const FaultKind fault_clone = {.begin = begin_clone, .end = end_clone};

static bool begin_loss(Fault *f)
{
        fault_kill_and_hold(f->actor);
        disk_remove_all(f->actor->directory);
        return true;
}

const FaultKind fault_forget = {.begin = begin_loss, .end = fault_release};
const FaultKind fault_replace = {.begin = begin_loss, .end = fault_release, .of_receiver = true};
