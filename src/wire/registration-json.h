/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a receiver sends to discovery, and the answers (docs/HTTP_API.md). */

#include "wire/receiver-json.h"

#define TOKEN_MAX_LENGTH 64u

typedef struct Registered {
        sd_id128_t id;
        char token[TOKEN_MAX_LENGTH + 1];
        uint64_t lease_usec;
} Registered;

/* The body of a registration. `previous`: the dead instance whose id is claimed; null: none. Malloc'ed; NULL
 * when out of memory. */
char *registration_print(const ReceiverInfo *info, sd_id128_t previous);

/* The answer. 0, -EINVAL with the reason in `error`, or -ENOMEM. */
int registered_parse(const char *text, size_t size, Registered *ret, JsonError *error);

/* "lease_seconds" in the answer to a heartbeat, or in the status. */
int lease_parse(const char *text, size_t size, uint64_t *ret_usec, JsonError *error);

/* An answer that is an error: its code ("": none) and its sentence. If discovery refused an id, also how
 * long ago its holder was last heard (infinity: not since discovery started). */
typedef struct ApiError {
        char code[JSON_FIELD_MAX];
        uint64_t heard_usec;
        Error error;
} ApiError;
void api_error_parse(const char *text, size_t size, ApiError *ret);
