/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* polkit asks for a password through an agent. A text terminal without one gets pkttyagent, as in systemctl.
 */

#include <sys/types.h>

/* Starts pkttyagent and waits until it is registered. If the session has an agent, pkttyagent leaves the
 * work to it. Returns the process id, or a negative errno (-ENOENT: there is no pkttyagent). */
pid_t agent_start(void);
void agent_stop(pid_t pid); /* no-op for 0 and below */
