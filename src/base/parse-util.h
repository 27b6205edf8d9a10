/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* Strict parsers for words that people write: the whole word must fit. 0, or -EINVAL (not of the form), or
 * -ERANGE (outside the limits). *ret is untouched on failure. */

int parse_bool(const char *s, bool *ret);                                /* yes no true false on off 1 0 */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret); /* decimal */
int parse_unsigned(const char *s, unsigned min, unsigned max, unsigned *ret);
int parse_probability(const char *s, double *ret); /* 0 … 1, or 0% … 100% */
int parse_size(const char *s, uint64_t *ret);      /* bytes, with K M G (1024-based) behind */
/* "@SECONDS" since 1970, "2026-11-24 18:00[:30]" (or with a T in the middle), or "18:00[:30]": the next time
 * that the clock shows this. The local time zone counts. *ret_usec is in µs since 1970. */
int parse_timestamp(const char *s, uint64_t *ret_usec);
int parse_duration(const char *s,
                uint64_t *ret_usec); /* "5" (seconds), "500ms", "1min 30s", "2h", "infinity" */
