/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The processes of a handler, and the warden that watches them: what the kernel knows of them. The
 * receiver's view of a handler is in child.c. Only for these files and warden.c. */

#include "world/inside.h"
#include "world/process-child.h"
#include "world/scheduler.h"

typedef struct ChildGroup ChildGroup;
struct ChildGroup {
        TestChild seen;
        Process *receiver; /* NULL: in a world without processes */
        unsigned life;     /* process_starts() of the receiver */
        Child *child;      /* NULL: the other ends of its pipes are closed */
        bool has_input;    /* the receiver has written all of it */
        bool has_begun, has_descendant;
        bool is_leader_over, is_leader_killed;
        bool is_dead;
        uint64_t begins_at; /* not before */
        void *userdata;

        /* The one call that it waits for. */
        WorldCall call;
        void (*fn)(TestChild *c);
        uint64_t due, left; /* `left`: while its machine is suspended; USEC_INFINITY: it waits for nothing */
        bool is_suspended;
        WorldCall death; /* it was killed, but runs a moment longer */

        ChildGroup *prev, *next; /* those that are not dead; or those that a unit test may look at */
        ChildGroup *prev_same, *next_same; /* of the same bucket */
};

/* Copies what it needs. It belongs to the receiver that is the current process. */
ChildGroup *group_new(const ChildSpec *spec, Child *child);
ChildGroup *group_of(const TestChild *c);
ChildGroup *group_first(void); /* the oldest that is not dead */

void group_give_input(ChildGroup *g);
/* Its leader is over. Without a descendant the group is dead, and freed if `child` is NULL. */
void group_end_leader(ChildGroup *g, bool killed);
void group_kill(ChildGroup *g);      /* at once */
void group_kill_soon(ChildGroup *g); /* as the kernel does it: until then it may do more, or end by itself */
void group_kill_number(pid_t number); /* if it is not dead */
/* The receiver has closed its ends. Frees a group that is dead. */
void group_leave(ChildGroup *g);

/* child.c: its receiver will see that the leader was killed. */
void child_see_kill(Child *c);

void group_world_begin(void);
void group_world_end(void);

/* The warden of a receiver. The receiver's process owns it. */
typedef struct ChildWarden ChildWarden;
ChildWarden *child_warden_new(int lock_fd); /* it shares this lock (disk_fd()) */
int child_warden_fd(const ChildWarden *w);
bool child_warden_is_alive(const Warden *w);
void child_warden_add(const Warden *w, pid_t group);
void child_warden_remove(const Warden *w, pid_t group);
/* The receiver stops: the warden kills what runs. May pause. */
void child_warden_stop(ChildWarden *w);

void warden_suspend(Machine *m, bool suspend);
void warden_lose_power(Machine *m);
void warden_world_begin(void);
void warden_world_end(void);
