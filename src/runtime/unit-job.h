/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks systemd what is being done with the unit that this process belongs to. A stop and a restart send the
 * same SIGTERM, but who is started again at once need not take leave of anybody. */

#include "base/macro.h"
#include "runtime/loop.h"

typedef struct UnitJob UnitJob;

/* Called once from the loop, within a second: false too where there is no systemd, no unit or no answer. */
typedef void (*UnitJobFn)(bool restarting, void *userdata);

/* 0 or negative errno; `fn` is called in the first case only. */
int unit_job_ask(Loop *loop, UnitJobFn fn, void *userdata, UnitJob **ret);
UnitJob *unit_job_free(UnitJob *j); /* not from within `fn`; NULL */
