/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks systemd whether the unit of this process is being restarted. Stop and restart send the same SIGTERM,
 * but a receiver that starts again at once need not leave discovery. */

#include "base/macro.h"
#include "runtime/loop.h"

typedef struct UnitJob UnitJob;

/* Called once from the loop, within a second. False also without systemd, without a unit, and without an
 * answer. */
typedef void (*UnitJobFn)(bool restarting, void *userdata);

/* 0 or negative errno; then `fn` is not called. */
int unit_job_ask(Loop *loop, UnitJobFn fn, void *userdata, UnitJob **ret);
UnitJob *unit_job_free(UnitJob *j); /* not from inside `fn`; NULL is fine; returns NULL */
