/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells the service manager about this process (sd_notify). Does nothing without a service manager. */

#include "base/macro.h"

void notify_ready(void);                                    /* READY=1 */
void notify_stopping(void);                                 /* STOPPING=1 */
void notify_alive(void);                                    /* WATCHDOG=1 */
void notify_status(const char *format, ...) _printf_(1, 2); /* STATUS= */
void notify_remark(const char *text); /* stands behind each STATUS= from now on; "": nothing does */
void notify_extend(uint64_t usec);    /* EXTEND_TIMEOUT_USEC=: the start or stop may take this much longer */
