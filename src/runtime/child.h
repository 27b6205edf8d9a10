/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs one command on the loop: its input comes from memory, its output is collected. It is a ward of the
 * warden (runtime/warden.h): when it ends, when its time is over, or when it is killed, everything that it
 * has started is killed too. The result comes when all of that is dead. */

#include <sys/types.h>

#include "base/macro.h"
#include "runtime/loop.h"
#include "runtime/warden.h"

typedef struct Child Child;

#define CHILD_REPORT_FD  3
#define CHILD_REPORT_MAX 1000u

typedef struct ChildSpec {
        Warden *warden;
        const char *path;         /* of the program, see child_find_program() */
        bool is_local;            /* see executable_is_local() */
        char *const *arguments;   /* NULL-terminated, with argument 0 */
        char *const *environment; /* NULL-terminated, all of it */
        const void *input;        /* needed during the call only */
        size_t input_size;
        size_t output_max;     /* bytes that are kept; the rest is read and dropped */
        uint64_t timeout_usec; /* USEC_INFINITY: none */
        /* Called for each line that the command writes to descriptor CHILD_REPORT_FD, without the newline
         * (or CR and newline), which may be missing behind the last one. Lines longer than CHILD_REPORT_MAX
         * are ignored. NULL: the command has no such descriptor. */
        void (*report)(const char *line, void *userdata);
        /* The same for standard error, but a line that is too long comes in parts. NULL: the command has our
         * standard error. */
        void (*error_line)(const char *line, void *userdata);
} ChildSpec;

typedef struct ChildResult {
        int status;     /* of the command, as from waitpid() */
        int error;      /* an errno: it could not be executed; 0: it was */
        bool timed_out; /* it was killed because its time was over */
        bool cut;       /* there was more output than output_max, or than memory: its end is missing */
        bool too_long;  /* more than output_max */
        const uint8_t *output;
        size_t output_size;
} ChildResult;

/* The child is freed afterwards; the output lives during the call. */
typedef void (*ChildDone)(const ChildResult *result, void *userdata);

/* During `done`: the output is the caller's from now on, malloc'ed, so no copy can fail. NULL: it is empty.
 */
uint8_t *child_take_output(Child *c) _must_use_;

/* 0, or negative errno: the program has not begun. */
int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret);
void child_kill(Child *c);   /* `done` is called from the loop, as always */
Child *child_free(Child *c); /* kills; `done` is not called */
DEFINE_CLEANUP(Child *, child_free)

/* Finds a command in PATH, as a shell does, and checks that it can be executed. *ret is malloc'ed. 0 or
 * negative errno, which runtime/executable.h explains. */
int child_find_program(const char *name, char **ret);
