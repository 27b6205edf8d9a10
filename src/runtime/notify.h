/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service manager is told (sd_notify). Does nothing where nobody listens. */

#include "base/macro.h"

void notify_ready(void);                                    /* READY=1 */
void notify_stopping(void);                                 /* STOPPING=1 */
void notify_alive(void);                                    /* WATCHDOG=1 */
void notify_status(const char *format, ...) _printf_(1, 2); /* STATUS= */
void notify_extend(uint64_t usec); /* EXTEND_TIMEOUT_USEC=: the time to start or to stop ends no earlier */
