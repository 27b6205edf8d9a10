/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of hosts, for the files of the world. */

#include "runtime/lookup.h"

/* What a resolver finds now. */
void name_look_up(const Address *address, LookupAnswer *ret);
uint64_t name_delay(const char *name);
void names_world_end(void);
