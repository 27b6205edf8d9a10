/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* world/process.h without machines and processes, for the disk in memory alone: nothing takes time. */

#include "world/process.h"

Machine *machine_of_path(const char *path)
{
        return NULL;
}

Machine *process_machine(const Process *p)
{
        return NULL;
}

Process *process_current(void)
{
        return NULL;
}

Process *host_enter(void)
{
        return NULL;
}

void host_leave(Process **was)
{
}

void owned_add(Owned *o, void (*reclaim)(Owned *o))
{
}

void owned_remove(Owned *o)
{
}

void thread_pause(uint64_t usec)
{
}

void kill_point(void)
{
}

void sync_point(void)
{
}

bool sync_fails(void)
{
        return false;
}

uint64_t world_now(void)
{
        return 0;
}

uint64_t world_random(uint64_t n)
{
        return 0;
}

uint64_t world_random_between(uint64_t min, uint64_t max)
{
        return min;
}
