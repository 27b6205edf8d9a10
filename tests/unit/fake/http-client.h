/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* http/http-client.h without sockets: the test reads the requests and answers them. */

#include "http/http-client.h"

/* Returns the oldest request without an answer; NULL: there is none. */
HttpRequest *fake_http_request(void);
const char *fake_http_request_method(const HttpRequest *r);
const char *fake_http_request_path(const HttpRequest *r);
const char *fake_http_request_body(const HttpRequest *r); /* or NULL */

/* Answers the request, as the loop would. `status` < 0: the request failed with that errno. */
void fake_http_answer(HttpRequest *r, int status, const char *body);

/* The next http_client_request() fails with -error. */
void fake_http_client_fail(int error);
