/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake/http-client.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct HttpRequest {
        HttpClient *client;
        char *method, *path, *body;
        HttpDone done;
        void *userdata;
        HttpRequest *prev, *next;
};

struct HttpClient {
        unsigned n_requests;
};

static HttpRequest *requests;
static int fail_next;

int http_client_new(Loop *loop, HttpClient **ret)
{
        *ret = calloc(1, sizeof **ret);
        assert(*ret);
        return 0;
}

HttpClient *http_client_free(HttpClient *c)
{
        HttpRequest *r, *next;

        DL_FOREACH_SAFE(requests, r, next) {
                if (r->client == c)
                        (void) http_request_cancel(r);
        }
        free(c);
        return NULL;
}

static char *copy(const char *text)
{
        return text ? strdup(text) : NULL;
}

int http_client_request(HttpClient *c, const Address *server, const HttpCall *call, HttpDone done,
                void *userdata, HttpRequest **ret)
{
        int error = fail_next;

        fail_next = 0;
        if (error > 0)
                return -error;
        HttpRequest *r = calloc(1, sizeof *r);
        assert(r);
        *r = (HttpRequest){
                        .client = c,
                        .method = copy(call->method),
                        .path = copy(call->path),
                        .body = copy(call->body),
                        .done = done,
                        .userdata = userdata,
        };
        DL_APPEND(requests, r);
        if (ret)
                *ret = r;
        return 0;
}

HttpRequest *http_request_cancel(HttpRequest *r)
{
        DL_DELETE(requests, r);
        free(r->method);
        free(r->path);
        free(r->body);
        free(r);
        return NULL;
}

HttpRequest *fake_http_request(void)
{
        return requests;
}

const char *fake_http_request_method(const HttpRequest *r)
{
        return r->method;
}

const char *fake_http_request_path(const HttpRequest *r)
{
        return r->path;
}

const char *fake_http_request_body(const HttpRequest *r)
{
        return r->body;
}

void fake_http_answer(HttpRequest *r, int status, const char *body)
{
        HttpDone done = r->done;
        void *userdata = r->userdata;
        Error error = {};

        if (status < 0)
                (void) error_set(&error, status, "%s", strerror(-status));
        (void) http_request_cancel(r);
        done(status, body ? body : "", body ? strlen(body) : 0, "", &error, userdata);
}

void fake_http_client_fail(int error)
{
        fail_next = error;
}
