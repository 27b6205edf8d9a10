/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* Names of receivers and groups, keys and values of labels: 1 to NAME_MAX_LENGTH of [A-Za-z0-9._@:-],
 * beginning with a letter or digit. */
bool name_is_valid(const char *s);

/* True if `s` is `name`, or all of `name` before its '@': "1" is short for "1@somehost". */
bool name_matches(const char *name, const char *s);
