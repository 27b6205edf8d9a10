/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One run of the handler for one job: the configured command with the payload as its input and what is known
 * of the message in its environment, or, without a command, a line in the log. */

#include "receiver/job.h"

int handler_init(Receiver *r, Error *error);
void handler_clear(Receiver *r);

/* Begins the job, which is finished by job_finish() or job_abandon(): at once, or from the loop. */
void handler_run(Job *job);
