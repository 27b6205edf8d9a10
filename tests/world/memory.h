/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The memory of simulated processes. A program that links the simulator wraps malloc() and its relatives:
 * what a process allocates is in a list of the process, which is freed when it ends, however it ends. */

#include <stddef.h>

#include "base/macro.h"

typedef struct Process Process;

/* Stands in front of each allocation. */
typedef struct MemoryHead MemoryHead;
struct MemoryHead {
        MemoryHead *prev, *next; /* of the process; of itself while it belongs to the world */
        Process *process;        /* NULL: the world */
        size_t size;
};

/* A process allocates now: the world tells where the memory belongs. NULL: to the world. */
Process *memory_owner(void);
bool memory_is_refused(Process *p); /* this allocation fails; see process_fail_allocations() */
void memory_add(Process *p, MemoryHead *head);
void memory_remove(MemoryHead *head); /* also for memory of the world */

/* Routes the memory of SQLite and cJSON through malloc(), too. To be called before either is used. */
void memory_begin(void);
