/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs one command on the loop: its input comes from memory, its output is collected, its standard error is
 * ours. The command is the leader of a process group of its own, and the command is that group: when the
 * leader ends, or its time is over, or it is no longer wanted, the whole group is killed. So nothing that it
 * left behind can hold the result back or run on unseen. */

#include <sys/types.h>

#include "base/macro.h"
#include "runtime/loop.h"

typedef struct Child Child;

#define CHILD_REPORT_FD  3
#define CHILD_REPORT_MAX 1000u

typedef struct ChildSpec {
        const char *path;         /* of the program, see child_find_program() */
        char *const *arguments;   /* NULL-terminated, with argument 0 */
        char *const *environment; /* NULL-terminated, all of it */
        const void *input;        /* lent until the result is there */
        size_t input_size;
        size_t output_max;     /* bytes kept; what comes behind is read and dropped */
        uint64_t timeout_usec; /* USEC_INFINITY: none */
        /* Each line that it writes to descriptor CHILD_REPORT_FD, without its end, as it comes; longer ones
         * than CHILD_REPORT_MAX are passed over. NULL: it gets no such descriptor. */
        void (*report)(const char *line, void *userdata);
        /* Called in the new process before the program begins, with async-signal-safe calls only; what it
         * does has happened before the program's first instruction. Negative: the program is not run. May be
         * NULL. */
        int (*before_exec)(pid_t group, void *userdata);
} ChildSpec;

typedef struct ChildResult {
        int status;     /* as waitpid() says it; exit status 126 or 127: could not be run */
        bool timed_out; /* killed since its time was over */
        bool cut;       /* there was more output than output_max */
        const uint8_t *output;
        size_t output_size;
} ChildResult;

/* The group is dead when this is called, except for its leader's number, which is still taken: `group` is
 * nobody else's. The child is gone afterwards; the output is valid during the call. */
typedef void (*ChildDone)(pid_t group, const ChildResult *result, void *userdata);

/* Negative: the program has not begun. */
int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret);
void child_kill(Child *c);   /* the result comes from the loop, as ever */
Child *child_free(Child *c); /* kills; no result will come */
DEFINE_CLEANUP(Child *, child_free)

/* Looks a command up as a shell would, along PATH. *ret is malloc'ed. -ENOENT, -EACCES. */
int child_find_program(const char *name, char **ret);
