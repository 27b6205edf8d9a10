/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/value.h"

/* The receivers that --group and --label let through, as records. 0, or an exit code after telling why. */
int list_receivers(Ctl *c, cJSON **ret);
