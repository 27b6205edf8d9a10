/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* polkit asks the person for a password through an agent. Who has none, on a text terminal, gets pkttyagent,
 * as systemctl does it. */

#include <sys/types.h>

/* Starts it and waits until it is registered; its process id. Negative errno where there is none (-ENOENT).
 * Where the session has an agent already it steps back. */
pid_t agent_start(void);
void agent_stop(pid_t pid); /* nothing for numbers that are not positive */
