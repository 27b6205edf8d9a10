/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process of a Child. It is forked with its pipes, then waits until the parent has started all watches
 * and lets it begin. Only for runtime/child.c. */

#include "runtime/child.h"

typedef struct ChildProcess {
        pid_t pid; /* of the leader, and the number of its group; 0: none */
        int pidfd;
        int output_fd, report_fd; /* our ends, non-blocking; report_fd -1: the program has none */
        int go_fd;                /* a byte lets the program begin; end of file lets the process exit */
} ChildProcess;

/* 0 or negative errno. Then the caller calls child_process_go(), or child_process_abandon() after any
 * failure. */
int child_process_fork(ChildProcess *p, const ChildSpec *spec, void *userdata);
int child_process_go(ChildProcess *p);       /* 0 or negative errno */
void child_process_abandon(ChildProcess *p); /* it has not begun; waits until it is gone */
void child_process_close(ChildProcess *p);   /* all descriptors */
