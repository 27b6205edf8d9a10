/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a service does regularly for the service manager: it feeds the watchdog, and asks for more time to
 * start or to stop. */

#include "runtime/timer.h"

/* Embed it by value; it must not move in memory while it is started. */
typedef struct Service {
        Timer watchdog, extend;
        uint64_t watchdog_usec; /* 0: nobody watches */
        bool (*is_alive)(void *userdata);
        void *userdata;
} Service;

/* Feeds the watchdog ($WATCHDOG_USEC) at half of its period, while `is_alive` returns true (NULL: always). 0
 * or negative errno. */
int service_start(Service *s, Loop *loop, bool (*is_alive)(void *userdata), void *userdata);
void service_stop(Service *s); /* safe on a zeroed Service, and twice */

/* While it is on, the service manager is asked for more time again and again: to start, or to stop. */
void service_extend(Service *s, bool on);
