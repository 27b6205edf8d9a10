/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <cjson/cJSON.h>

#include "ctl/ctl.h"

/* What the receivers of a message to several replied, those that did: an array of {receiver, reply}. 0, or
 * an exit code after telling why. */
int get_replies(Ctl *c, const char *id, cJSON **ret);
