/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/value.h"

/* The properties of a message, whose id may be cut. 0, or an exit code after telling why. */
int message_get(Ctl *c, const char *id, cJSON **ret);
