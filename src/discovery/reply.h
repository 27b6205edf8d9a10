/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the functions of all routes need: to read a body, to refuse, to answer. */

#include <cjson/cJSON.h>

#include "http/http-server.h"

void reply_json(HttpExchange *x, unsigned status, cJSON *json); /* takes json; NULL: 503 */
/* `field` may be NULL or "". */
void reply_error(HttpExchange *x, unsigned status, const char *code, const char *field, const char *message);
void reply_out_of_memory(HttpExchange *x);
void reply_answer(HttpExchange *x, const HttpAnswer *a); /* NULL: out of memory */
cJSON *reply_error_json(const char *code, const char *field, const char *message);

/* Reads the body of a request. NULL after it has answered with 400. The caller frees with cJSON_Delete(). */
cJSON *request_json(HttpExchange *x);
/* Whether a registration may come over this transport. False after it has answered with 403. */
bool request_may_register(HttpExchange *x, bool allow_tcp);
