/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/registration-json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/name.h"

#define LEASE_MAX_SECONDS 86400
#define HEARD_NEVER       ((uint64_t) 1 << 52) /* ms: more than any clock shows */

char *registration_print(const ReceiverInfo *info, sd_id128_t previous)
{
        _cleanup_(cjson_deletep) cJSON *json = receiver_json_print(info);
        char text[SD_ID128_UUID_STRING_MAX];

        if (!json || (!sd_id128_is_null(previous) &&
                                     !cJSON_AddStringToObject(json, "previous_instance",
                                                     sd_id128_to_uuid_string(previous, text))))
                return NULL;
        return cJSON_PrintUnformatted(json);
}

static int get_lease(const cJSON *object, uint64_t *ret, JsonError *error)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "lease_seconds");

        if (!cJSON_IsNumber(item) || !(item->valuedouble > 0) || item->valuedouble > LEASE_MAX_SECONDS)
                return json_error_set(error, -EINVAL, "lease_seconds",
                                "\"lease_seconds\" must be a number above 0, at most %d", LEASE_MAX_SECONDS);
        *ret = (uint64_t) (item->valuedouble * (double) USEC_PER_SEC);
        return 0;
}

int registered_parse(const char *text, size_t size, Registered *ret, JsonError *error)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        Registered registered = {};
        const char *token;
        int r;

        r = json_parse(text, size, &json, error);
        if (r >= 0)
                r = json_get_id(json, "id", true, &registered.id, error);
        if (r >= 0)
                r = json_get_string(json, "token", true, &token, error);
        if (r >= 0)
                r = get_lease(json, &registered.lease_usec, error);
        if (r < 0)
                return r;
        /* The token is sent in a header, so only the characters of names are allowed. */
        if (strlen(token) > TOKEN_MAX_LENGTH || !name_is_valid(token))
                return json_error_set(error, -EINVAL, "token",
                                "\"token\" must be at most %u letters and digits", TOKEN_MAX_LENGTH);
        strcpy(registered.token, token);
        *ret = registered;
        return 0;
}

int lease_parse(const char *text, size_t size, uint64_t *ret_usec, JsonError *error)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        int r = json_parse(text, size, &json, error);

        return r < 0 ? r : get_lease(json, ret_usec, error);
}

void api_error_parse(const char *text, size_t size, ApiError *ret)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        const char *code = NULL, *message = NULL;
        uint64_t heard_ms = HEARD_NEVER;

        *ret = (ApiError){.heard_usec = USEC_INFINITY, .error.text = "no reason given"};
        if (json_parse(text, size, &json, NULL) < 0)
                return;
        const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
        (void) json_get_string(error, "code", false, &code, NULL);
        (void) json_get_string(error, "message", false, &message, NULL);
        (void) json_get_unsigned(error, "heard_ms_ago", 0, HEARD_NEVER - 1, &heard_ms, NULL);
        if (code)
                (void) snprintf(ret->code, sizeof ret->code, "%s", code);
        if (heard_ms < HEARD_NEVER)
                ret->heard_usec = heard_ms * USEC_PER_MSEC;
        if (message)
                (void) snprintf(ret->error.text, sizeof ret->error.text, "%s", message);
}
