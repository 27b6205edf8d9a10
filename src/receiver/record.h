/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outcome of a job on its way to the disk. It is answered when it is synced; while the disk refuses it,
 * it is tried again, and the job is still being worked on: its handler has run and shall not run again. */

#include "receiver/job.h"

void record_outcome(Job *job);        /* then the job ends */
void record_log(const Job *job);      /* tells the journal */
void record_on_timer(void *userdata); /* Receiver */
