/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "base/cleanup.h"

/* NULL equals only NULL. */
static inline bool str_equal(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static inline bool str_empty(const char *s)
{
        return !s || s[0] == '\0';
}

/* The rest of `s` behind `prefix`, or NULL. */
const char *str_after_prefix(const char *s, const char *prefix);

/* Copies as much as fits into `size` bytes, with a NUL at the end. */
static inline void str_copy(char *to, size_t size, const char *from)
{
        size_t n = strnlen(from, size - 1);

        memcpy(to, from, n);
        to[n] = '\0';
}

/* Like asprintf(), but returns the text; NULL: out of memory. */
char *str_format(const char *format, ...) _printf_(1, 2);

/* Replaces *p by a copy of `s` (NULL allowed). 0 or -ENOMEM, then *p is as before. */
int str_replace(char **p, const char *s);

/* NULL-terminated string vectors, owned by the caller. */
char **strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)
size_t strv_length(char *const *v);
int strv_append(char ***v, const char *s); /* copies s; 0 or -ENOMEM */
char **strv_copy(char *const *v);          /* NULL when out of memory; a copy of NULL is an empty vector */

/* Splits a command line into words as a shell would without any expansion: blanks separate, '…' is literal,
 * "…" and \ escape. -EINVAL for an unclosed quote. */
int str_split_words(const char *s, char ***ret);

/* Escapes every byte that is not part of a printable UTF-8 character as \xNN, a newline as \n. Reads at most
 * `max` bytes of `data`; an ellipsis stands for the rest. Malloc'ed. */
char *str_printable(const void *data, size_t n, size_t max);
