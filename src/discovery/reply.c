/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/reply.h"

#include "base/str-util.h"
#include "wire/receiver-json.h"

void reply_json(HttpExchange *x, unsigned status, cJSON *json)
{
        char *text = json ? cJSON_PrintUnformatted(json) : NULL;

        cJSON_Delete(json);
        http_reply(x, text ? status : 503, text);
}

cJSON *reply_error_json(const char *code, const char *field, const char *message)
{
        cJSON *json = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(json, "error");

        (void) cJSON_AddStringToObject(error, "code", code);
        (void) (str_empty(field) ? cJSON_AddNullToObject(error, "field")
                                 : cJSON_AddStringToObject(error, "field", field));
        (void) cJSON_AddStringToObject(error, "message", message);
        return json;
}

void reply_error(HttpExchange *x, unsigned status, const char *code, const char *field, const char *message)
{
        reply_json(x, status, reply_error_json(code, field, message));
}

void reply_out_of_memory(HttpExchange *x)
{
        reply_error(x, 503, "unavailable", NULL, "out of memory");
}

void reply_answer(HttpExchange *x, const HttpAnswer *a)
{
        if (a)
                http_give(x, a);
        else
                reply_out_of_memory(x);
}

cJSON *request_json(HttpExchange *x)
{
        JsonError e = {};
        cJSON *json;
        size_t size;

        const char *body = http_body(x, &size);
        if (json_parse(body, size, &json, &e) >= 0)
                return json;
        reply_error(x, 400, "malformed", NULL, e.error.text);
        return NULL;
}

bool request_may_register(HttpExchange *x, bool allow_tcp)
{
        if (http_is_local(x) || allow_tcp)
                return true;
        reply_error(x, 403, "transport", NULL, "registration over TCP needs AllowTcpRegistration=yes");
        return false;
}
