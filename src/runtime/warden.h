/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The warden is a second process that starts the handlers of a receiver, and outlives the receiver for a
 * moment, however the receiver ends. It holds the lock on the state directory.
 *
 * A ward is a handler as the warden sees it: a first process, the leader, and everything that this process
 * has started, whatever groups or sessions these processes make. A ward has ended when the last of its
 * processes is dead. When the leader ends, or when the ward is killed, the warden kills the others:
 *
 * - The warden is the parent of every leader. Leader and warden are subreapers, so the kernel makes orphans
 *   children of the leader, and of the warden when the leader is dead. So a child of the warden that is no
 *   leader belongs to a ward that is ending.
 * - If the service manager has delegated the control group, each ward has its own group, which the kernel
 *   kills as a whole.
 *
 * When the receiver is gone, even by SIGKILL, the warden kills all wards, waits until they are dead, and
 * ends. Only then is the lock free. So no handler ever runs beside the next instance of its receiver. When
 * the warden is gone, its children become those of the receiver, which kills them and ends. */

#include <sys/types.h>

#include "runtime/offspring.h"
#include "runtime/watch.h"

#define WARDS_MAX 1024u /* at once */
/* Wards are no members of this group, if the receiver may leave groups (runtime/privileges.h). */
#define WARDEN_LEFT_GROUP "ackgroup"
#define WARD_FDS          4u

typedef struct WardEnd {
        int status; /* of the leader, as from waitpid() */
        int error;  /* an errno: the program could not be executed; 0: it was */
} WardEnd;

/* Its owner embeds it by value. `ended` is called from the loop when the last process is dead. */
typedef struct Ward {
        uint32_t number;
        void (*ended)(struct Ward *ward, const WardEnd *end);
} Ward;

typedef struct WardSpec {
        const char *path;
        char *const *arguments, *const *environment; /* NULL-terminated */
        int fds[WARD_FDS]; /* become 0 to 3; -1: none, and for 2 the standard error of the receiver */
        bool is_local;     /* see runtime/executable.h */
} WardSpec;

typedef struct Warden {
        pid_t pid;   /* 0: none */
        int pidfd;   /* becomes readable when the warden ends */
        int fd;      /* requests; its end tells the warden that the receiver is gone */
        int ends_fd; /* the ends of wards */
        Watch watch;
        Offspring others; /* children that this process had before it was a receiver */
        Ward **wards;     /* by number; NULL: nobody wants to know the end */
        uint32_t *unused; /* numbers */
        size_t n_unused;
} Warden;

/* Forks; to be called while the process has one thread. 0 or negative errno. */
int warden_start(int lock_fd, Warden *ret);

/* 0, or negative errno: the ward has not begun. Also 0 if the warden died before it could say that. */
int warden_run(Warden *w, Loop *loop, const WardSpec *spec, Ward *ward);
void warden_kill(Warden *w, const Ward *ward);
void warden_forget(Warden *w, const Ward *ward); /* `ended` is not called any more */

/* Lets the warden kill all wards that still run. Returns when it has ended, or after 5 s if a process hangs
 * in the kernel; then the warden keeps the lock and waits alone. To be called before the loop is freed. Safe
 * on a zeroed Warden, and twice. */
void warden_stop(Warden *w);
