/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The record of a receiver as JSON (docs/HTTP_API.md). Parsing is strict about known fields and skips
 * unknown ones, so that a newer peer can send more. */

#include <cjson/cJSON.h>

#include "base/error.h"
#include "model/receiver-info.h"

#define JSON_FIELD_MAX 64

/* What is wrong, and in which field. "": in the text as a whole. */
typedef struct JsonError {
        Error error;
        char field[JSON_FIELD_MAX];
} JsonError;

int json_error_set(JsonError *e, int r, const char *field, const char *format, ...) _printf_(4, 5);

/* Parses exactly one JSON value of `size` bytes. 0, -EINVAL or -ENOMEM. The caller frees with
 * cJSON_Delete(). */
int json_parse(const char *text, size_t size, cJSON **ret, JsonError *error);

/* A string field of an object: *ret points into the object, or is NULL if the field is absent. */
int json_get_string(
                const cJSON *object, const char *field, bool required, const char **ret, JsonError *error);
int json_get_id(const cJSON *object, const char *field, bool required, sd_id128_t *ret, JsonError *error);
/* An absent field leaves *ret unchanged. */
int json_get_unsigned(const cJSON *object, const char *field, uint64_t min, uint64_t max, uint64_t *ret,
                JsonError *error);

/* One record. In a `registration` "id" may be missing, but "instance" only if the record is plain. */
int receiver_json_parse(const cJSON *object, bool registration, ReceiverInfo *ret, JsonError *error);
cJSON *receiver_json_print(const ReceiverInfo *info); /* NULL when out of memory */

/* Parts of the record: {"zone":"a"} and ["unix:/run/x.sock"]. NULL when out of memory. */
char *receiver_json_labels(const ReceiverInfo *info);
/* The field "host" with its name, or "" where nothing is known of it. */
char *receiver_json_host(const HostMark *host);
char *receiver_json_addresses(const ReceiverInfo *info);

/* The record as text, for the disk. NULL when out of memory; 0, -EINVAL or -ENOMEM. */
char *receiver_json_to_text(const ReceiverInfo *info);
int receiver_json_from_text(const char *text, ReceiverInfo *ret);

/* An answer to GET /v1/receivers. */
typedef struct ReceiverList {
        ReceiverInfo *infos;
        size_t n;
        sd_id128_t *removed; /* those that left; apply them before `infos` */
        size_t n_removed;
        char revision[NAME_MAX_LENGTH + 1];
        char next[NAME_MAX_LENGTH + 1]; /* where the next page begins; "": this is the last one */
        bool changes;                   /* only what changed since the revision in the request */
} ReceiverList;

/* 0, -EINVAL or -ENOMEM. The caller clears *ret after 0 only. */
int receiver_list_parse(const char *text, size_t size, ReceiverList *ret, JsonError *error);
void receiver_list_clear(ReceiverList *list);

static inline void cjson_deletep(cJSON **p)
{
        cJSON_Delete(*p);
}
