/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/value.h"

/* The properties of the client. 0, or an exit code after telling why. */
int manager_get(Ctl *c, cJSON **ret);
