/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* "Working" is said of every message that is queued, running or being recorded, in time for its sender's ack
 * timeout, so that long work is not taken for lost. */

#include "receiver/job.h"

void working_begin(Job *job, const MessageFrame *m);
void working_progress(Job *job);       /* its handler has said how far it is: told at once, within reason */
void working_on_timer(void *userdata); /* Receiver */
