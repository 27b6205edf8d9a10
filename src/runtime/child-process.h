/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process of a Child: forked, with its pipes, and held back until everything is there that waits for its
 * result. For runtime/child.c alone. */

#include "runtime/child.h"

typedef struct ChildProcess {
        pid_t pid; /* of the leader, and the number of its group; 0: none */
        int pidfd;
        int input_fd, output_fd, report_fd; /* our ends, non-blocking; report_fd -1: the program has none */
        int go_fd;                          /* a byte lets it begin; its end lets the process exit instead */
} ChildProcess;

/* 0 or negative errno. Afterwards either child_process_go() or child_process_abandon(), also when it failed.
 */
int child_process_fork(ChildProcess *p, const ChildSpec *spec, void *userdata);
int child_process_go(ChildProcess *p);       /* 0 or negative errno */
void child_process_abandon(ChildProcess *p); /* it has not begun; waits until it is gone */
void child_process_close(ChildProcess *p);   /* all descriptors */
