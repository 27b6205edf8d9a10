/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Enumerations that have names: one table per enumeration, indexed by its values. */

#include "base/macro.h"

/* The index of `word`, or -EINVAL. */
int string_table_find(const char *const *table, size_t n, const char *word);

#define DEFINE_STRING_TABLE(prefix, type, table)                                                            \
        const char *prefix##_to_string(type value)                                                          \
        {                                                                                                   \
                return (size_t) value < ELEMENTSOF(table) ? table[value] : "?";                             \
        }                                                                                                   \
        int prefix##_from_string(const char *word)                                                          \
        {                                                                                                   \
                return string_table_find(table, ELEMENTSOF(table), word);                                   \
        }
