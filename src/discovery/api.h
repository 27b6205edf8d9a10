/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <cjson/cJSON.h>

#include "discovery/discovery.h"

int api_serve(Discovery *d, const Listener *listener, HttpServer **ret);
void api_clear(Discovery *d);

/* For the seed API too. */
void api_json(HttpExchange *x, unsigned status, cJSON *json); /* takes json; NULL: 503 */
void api_error(HttpExchange *x, unsigned status, const char *code, const char *field, const char *message);
bool api_may_register(Discovery *d, HttpExchange *x);
