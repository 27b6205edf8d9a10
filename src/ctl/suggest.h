/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* "Did you mean …": how near a mistyped word is to the right one. */

#include "base/macro.h"

/* The number of bytes to insert, delete, replace, or swap with the next one, to make `b` of `a`. UINT_MAX if
 * one of them is longer than SUGGEST_LENGTH_MAX. */
#define SUGGEST_LENGTH_MAX 32u
unsigned suggest_distance(const char *a, const char *b);

/* True if a person who typed `word` may have meant `right`. */
bool suggest_is_near(const char *word, const char *right);
