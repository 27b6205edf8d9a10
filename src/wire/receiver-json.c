/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/receiver-json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/str-util.h"
#include "model/name.h"

#define CAPACITY_MAX 1000000u

int json_error_set(JsonError *e, int r, const char *field, const char *format, ...)
{
        va_list ap;

        if (!e)
                return r;
        va_start(ap, format);
        (void) vsnprintf(e->error.text, sizeof e->error.text, format, ap);
        va_end(ap);
        (void) snprintf(e->field, sizeof e->field, "%s", field);
        return r;
}

/* cJSON ends a string there, and drops what follows. Escapes occur in strings only. Returns its place, or
 * `size`. */
static size_t find_nul(const char *text, size_t size)
{
        const char *end = memchr(text, '\0', size) ?: text + size, *at = text;

        while ((at = memchr(at, '\\', (size_t) (end - at)))) {
                if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
                        return (size_t) (at - text);
                at += MIN(end - at, 2); /* a second backslash begins no escape */
        }
        return (size_t) (end - text);
}

int json_parse(const char *text, size_t size, cJSON **ret, JsonError *error)
{
        const char *end = text;
        const size_t nul = find_nul(text, size);

        if (nul < size)
                return json_error_set(
                                error, -EINVAL, "", "a NUL near byte %zu: no text may contain one", nul);

        cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, false);
        if (!json)
                return json_error_set(
                                error, -EINVAL, "", "malformed JSON near byte %zu", (size_t) (end - text));
        while (end < text + size && strchr(" \t\r\n", *end) && *end)
                end++;
        if (end < text + size) {
                cJSON_Delete(json);
                return json_error_set(error, -EINVAL, "", "something follows the JSON value");
        }
        *ret = json;
        return 0;
}

static int missing(bool required, const char *field, JsonError *error)
{
        return required ? json_error_set(error, -EINVAL, field, "\"%s\" is missing", field) : 0;
}

int json_get_string(
                const cJSON *object, const char *field, bool required, const char **ret, JsonError *error)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);

        *ret = NULL;
        if (!item)
                return missing(required, field, error);
        if (!cJSON_IsString(item))
                return json_error_set(error, -EINVAL, field, "\"%s\" must be a string", field);
        *ret = item->valuestring;
        return 0;
}

int json_get_id(const cJSON *object, const char *field, bool required, sd_id128_t *ret, JsonError *error)
{
        const char *text;
        int r;

        r = json_get_string(object, field, required, &text, error);
        if (r < 0 || !text)
                return r;
        if (sd_id128_from_string(text, ret) < 0 || sd_id128_is_null(*ret))
                return json_error_set(error, -EINVAL, field, "\"%s\" must be a UUID", field);
        return 0;
}

int json_get_unsigned(const cJSON *object, const char *field, uint64_t min, uint64_t max, uint64_t *ret,
                JsonError *error)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);

        if (!item)
                return 0;
        if (!cJSON_IsNumber(item) || item->valuedouble != floor(item->valuedouble) ||
                        item->valuedouble < (double) min || item->valuedouble > (double) max)
                return json_error_set(error, -EINVAL, field,
                                "\"%s\" must be a whole number from %llu to %llu", field,
                                (unsigned long long) min, (unsigned long long) max);
        *ret = (uint64_t) item->valuedouble;
        return 0;
}

static int parse_name(
                const cJSON *object, const char *field, const char *fallback, char **ret, JsonError *error)
{
        const char *text;
        int r;

        r = json_get_string(object, field, !fallback, &text, error);
        if (r < 0)
                return r;
        if (text && !name_is_valid(text))
                return json_error_set(error, -EINVAL, field,
                                "\"%s\" must be 1 to %u letters, digits and ._@:-, beginning with a letter "
                                "or digit",
                                field, NAME_MAX_LENGTH);
        return str_replace(ret, text ?: fallback);
}

static int parse_labels(const cJSON *object, ReceiverInfo *info, JsonError *error)
{
        const cJSON *labels = cJSON_GetObjectItemCaseSensitive(object, "labels"), *item;

        if (!labels)
                return 0;
        if (!cJSON_IsObject(labels) || cJSON_GetArraySize(labels) > (int) LABELS_MAX)
                return json_error_set(error, -EINVAL, "labels",
                                "\"labels\" must be an object of at most %u strings", LABELS_MAX);
        info->labels = calloc(LABELS_MAX, sizeof *info->labels);
        if (!info->labels)
                return -ENOMEM;
        cJSON_ArrayForEach(item, labels) {
                Label *label = info->labels + info->n_labels;

                if (!cJSON_IsString(item) || !name_is_valid(item->string) ||
                                !name_is_valid(item->valuestring))
                        return json_error_set(error, -EINVAL, "labels",
                                        "key and value of a label must be names (letters, digits and "
                                        "._@:-)");
                strcpy(label->key, item->string);
                strcpy(label->value, item->valuestring);
                info->n_labels++;
        }
        return 0;
}

static int parse_addresses(const cJSON *object, ReceiverInfo *info, JsonError *error)
{
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "addresses"), *item;
        int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;

        if (!list)
                return missing(true, "addresses", error);
        if (n < 1 || n > (int) ADDRESSES_MAX)
                return json_error_set(error, -EINVAL, "addresses",
                                "\"addresses\" must be an array of 1 to %u strings", ADDRESSES_MAX);
        info->addresses = calloc((size_t) n, sizeof *info->addresses);
        if (!info->addresses)
                return -ENOMEM;
        cJSON_ArrayForEach(item, list) {
                Error why = {};

                if (!cJSON_IsString(item))
                        return json_error_set(error, -EINVAL, "addresses", "an address must be a string");
                if (address_parse(item->valuestring, info->addresses + info->n_addresses, &why) < 0)
                        return json_error_set(error, -EINVAL, "addresses", "%s", why.text);
                info->n_addresses++;
        }
        return 0;
}

static int parse_host(const cJSON *object, ReceiverInfo *info, JsonError *error)
{
        const cJSON *host = cJSON_GetObjectItemCaseSensitive(object, "host");
        int r;

        if (!host)
                return 0;
        if (!cJSON_IsObject(host))
                return json_error_set(error, -EINVAL, "host", "\"host\" must be an object");
        r = json_get_id(host, "machine", false, &info->host.machine, error);
        return r < 0 ? r : json_get_id(host, "boot", false, &info->host.boot, error);
}

int receiver_json_parse(const cJSON *object, bool registration, ReceiverInfo *ret, JsonError *error)
{
        ReceiverInfo info = {};
        uint64_t capacity = 1;
        int r;

        if (!cJSON_IsObject(object))
                return json_error_set(error, -EINVAL, "", "a receiver must be a JSON object");
        info.draining = !registration && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "draining"));
        info.plain = !registration && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "plain"));
        r = json_get_id(object, "id", !registration, &info.id, error);
        if (r >= 0)
                r = json_get_id(object, "instance", !info.plain, &info.instance, error);
        if (r >= 0)
                r = json_get_unsigned(object, "capacity", 1, CAPACITY_MAX, &capacity, error);
        if (r >= 0)
                r = parse_name(object, "name", NULL, &info.name, error);
        if (r >= 0)
                r = parse_name(object, "group", "default", &info.group, error);
        if (r >= 0)
                r = parse_labels(object, &info, error);
        if (r >= 0)
                r = parse_addresses(object, &info, error);
        if (r >= 0)
                r = parse_host(object, &info, error);
        if (r < 0) {
                receiver_info_clear(&info);
                return r;
        }
        info.capacity = (uint32_t) capacity;
        *ret = info;
        return 0;
}

static bool add_id(cJSON *object, const char *field, sd_id128_t id)
{
        char text[SD_ID128_UUID_STRING_MAX];

        return sd_id128_is_null(id) ||
               cJSON_AddStringToObject(object, field, sd_id128_to_uuid_string(id, text));
}

static bool fill_labels(cJSON *labels, const ReceiverInfo *info)
{
        bool ok = labels;

        for (size_t i = 0; i < info->n_labels && ok; i++)
                ok = cJSON_AddStringToObject(labels, info->labels[i].key, info->labels[i].value);
        return ok;
}

static bool fill_addresses(cJSON *addresses, const ReceiverInfo *info)
{
        char text[ADDRESS_STRING_MAX];
        bool ok = addresses;

        for (size_t i = 0; i < info->n_addresses && ok; i++)
                ok = cJSON_AddItemToArray(
                                addresses, cJSON_CreateString(address_format(info->addresses + i, text)));
        return ok;
}

static bool add_lists(cJSON *object, const ReceiverInfo *info)
{
        return fill_labels(cJSON_AddObjectToObject(object, "labels"), info) &&
               fill_addresses(cJSON_AddArrayToObject(object, "addresses"), info);
}

char *receiver_json_labels(const ReceiverInfo *info)
{
        _cleanup_(cjson_deletep) cJSON *labels = cJSON_CreateObject();

        return fill_labels(labels, info) ? cJSON_PrintUnformatted(labels) : NULL;
}

char *receiver_json_addresses(const ReceiverInfo *info)
{
        _cleanup_(cjson_deletep) cJSON *addresses = cJSON_CreateArray();

        return fill_addresses(addresses, info) ? cJSON_PrintUnformatted(addresses) : NULL;
}

static bool add_host(cJSON *object, const HostMark *host)
{
        if (sd_id128_is_null(host->machine) && sd_id128_is_null(host->boot))
                return true;
        cJSON *both = cJSON_AddObjectToObject(object, "host");
        return both && add_id(both, "machine", host->machine) && add_id(both, "boot", host->boot);
}

char *receiver_json_host(const HostMark *host)
{
        _cleanup_(cjson_deletep) cJSON *object = cJSON_CreateObject();

        if (!object || !add_host(object, host))
                return NULL;
        char *text = cJSON_PrintUnformatted(object);
        /* Without the brackets, so that it can follow other fields. */
        if (text) {
                text[strlen(text) - 1] = '\0';
                memmove(text, text + 1, strlen(text));
        }
        return text;
}

cJSON *receiver_json_print(const ReceiverInfo *info)
{
        cJSON *object = cJSON_CreateObject();

        if (!object || !add_id(object, "id", info->id) || !add_id(object, "instance", info->instance) ||
                        !cJSON_AddStringToObject(object, "name", info->name) ||
                        !cJSON_AddStringToObject(object, "group", info->group) || !add_lists(object, info) ||
                        !add_host(object, &info->host) ||
                        !cJSON_AddNumberToObject(object, "capacity", info->capacity) ||
                        (info->plain && !cJSON_AddTrueToObject(object, "plain")) ||
                        (info->draining && !cJSON_AddTrueToObject(object, "draining"))) {
                cJSON_Delete(object);
                return NULL;
        }
        return object;
}

void receiver_list_clear(ReceiverList *list)
{
        for (size_t i = 0; i < list->n; i++)
                receiver_info_clear(list->infos + i);
        free(list->infos);
        free(list->removed);
        *list = (ReceiverList){};
}

/* Clients send these words back as part of a path, so only the characters of names are allowed. */
static int get_word(const cJSON *object, const char *field, bool required,
                char ret[static NAME_MAX_LENGTH + 1], JsonError *error)
{
        const char *text;
        int r;

        r = json_get_string(object, field, required, &text, error);
        if (r < 0 || !text)
                return r;
        if (!name_is_valid(text))
                return json_error_set(error, -EINVAL, field, "\"%s\" must be at most %u letters and digits",
                                field, NAME_MAX_LENGTH);
        strcpy(ret, text);
        return 0;
}

static int parse_infos(const cJSON *json, ReceiverList *list, JsonError *error)
{
        const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, "receivers"), *item;
        int r;

        if (!cJSON_IsArray(array))
                return json_error_set(error, -EINVAL, "receivers", "\"receivers\" must be an array");
        list->infos = calloc((size_t) cJSON_GetArraySize(array) + 1, sizeof *list->infos);
        if (!list->infos)
                return -ENOMEM;
        cJSON_ArrayForEach(item, array) {
                r = receiver_json_parse(item, false, list->infos + list->n, error);
                if (r < 0)
                        return r;
                list->n++;
        }
        return 0;
}

static int parse_removed(const cJSON *json, ReceiverList *list, JsonError *error)
{
        const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, "removed"), *item;

        if (!array)
                return 0;
        if (!cJSON_IsArray(array))
                return json_error_set(error, -EINVAL, "removed", "\"removed\" must be an array");
        list->removed = calloc((size_t) cJSON_GetArraySize(array) + 1, sizeof *list->removed);
        if (!list->removed)
                return -ENOMEM;
        cJSON_ArrayForEach(item, array) {
                if (!cJSON_IsString(item) ||
                                sd_id128_from_string(item->valuestring, list->removed + list->n_removed) < 0)
                        return json_error_set(error, -EINVAL, "removed", "\"removed\" must hold UUIDs");
                list->n_removed++;
        }
        return 0;
}

int receiver_list_parse(const char *text, size_t size, ReceiverList *ret, JsonError *error)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        ReceiverList list = {};
        int r;

        r = json_parse(text, size, &json, error);
        if (r < 0)
                return r;
        list.changes = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(json, "since"));
        r = get_word(json, "revision", true, list.revision, error);
        if (r >= 0)
                r = get_word(json, "next", false, list.next, error);
        if (r >= 0)
                r = parse_infos(json, &list, error);
        if (r >= 0)
                r = parse_removed(json, &list, error);
        if (r < 0) {
                receiver_list_clear(&list);
                return r;
        }
        *ret = list;
        return 0;
}

char *receiver_json_to_text(const ReceiverInfo *info)
{
        _cleanup_(cjson_deletep) cJSON *json = receiver_json_print(info);

        return json ? cJSON_PrintUnformatted(json) : NULL;
}

int receiver_json_from_text(const char *text, ReceiverInfo *ret)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        JsonError error;
        int r;

        r = json_parse(text, strlen(text), &json, &error);
        return r < 0 ? r : receiver_json_parse(json, false, ret, &error);
}
