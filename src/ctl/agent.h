/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* polkit asks for a password through an agent. If a text terminal has no agent, ackctl starts pkttyagent, as
 * systemctl does. */

#include <sys/types.h>

/* Starts pkttyagent and waits until it has registered. If the session has an agent, that agent asks instead.
 * Returns the process id, or a negative errno (-ENOENT: pkttyagent is not installed). The caller passes the
 * id to agent_stop(). */
pid_t agent_start(void);
void agent_stop(pid_t pid); /* no-op for 0 and below */
