/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "base/utf8.h"

cJSON *value_of_bytes(const void *data, size_t n)
{
        if (utf8_is_text(data, n)) {
                _cleanup_free_ char *text = strndup(n > 0 ? data : "", n);
                return text ? cJSON_CreateString(text) : NULL;
        }
        cJSON *array = cJSON_CreateArray();
        for (size_t i = 0; i < n; i++)
                cJSON_AddItemToArray(array, cJSON_CreateNumber(((const uint8_t *) data)[i]));
        return array;
}

char *value_bytes(const cJSON *value, size_t *ret_n)
{
        const char *text = cJSON_GetStringValue(value);
        char *bytes = text ? strdup(text) : malloc((size_t) cJSON_GetArraySize(value) + 1);
        const cJSON *item;

        *ret_n = bytes && text ? strlen(bytes) : 0;
        if (bytes && !text)
                cJSON_ArrayForEach(item, value)
                        bytes[(*ret_n)++] = (char) (unsigned char) item->valueint;
        return bytes;
}

static cJSON *read_basic(sd_bus_message *m, char type)
{
        union {
                const char *s;
                int b;
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
        } v = {};

        if (sd_bus_message_read_basic(m, type, &v) < 0)
                return NULL;
        switch (type) {
        case 's':
        case 'o':
        case 'g':
                return cJSON_CreateString(v.s);
        case 'b':
                return cJSON_CreateBool(v.b);
        case 'y':
                return cJSON_CreateNumber(v.y);
        case 'n':
                return cJSON_CreateNumber(v.n);
        case 'q':
                return cJSON_CreateNumber(v.q);
        case 'i':
                return cJSON_CreateNumber(v.i);
        case 'u':
                return cJSON_CreateNumber(v.u);
        case 'x':
                return cJSON_CreateNumber((double) v.x);
        case 't':
                return cJSON_CreateNumber((double) v.t);
        case 'd':
                return cJSON_CreateNumber(v.d);
        default:
                return NULL;
        }
}

static cJSON *read_bytes(sd_bus_message *m)
{
        const void *data;
        size_t n;

        return sd_bus_message_read_array(m, 'y', &data, &n) < 0 ? NULL : value_of_bytes(data, n);
}

/* Reads the members of an open container. */
static cJSON *read_members(sd_bus_message *m, bool dictionary)
{
        cJSON *all = dictionary ? cJSON_CreateObject() : cJSON_CreateArray();

        while (all && sd_bus_message_at_end(m, false) == 0) {
                const char *key = NULL;
                cJSON *value = NULL;

                if (!dictionary)
                        value = value_read(m);
                else if (sd_bus_message_enter_container(m, 'e', NULL) > 0 &&
                                sd_bus_message_read_basic(m, 's', &key) > 0) {
                        value = value_read(m);
                        (void) sd_bus_message_exit_container(m);
                }
                if (!value) {
                        cJSON_Delete(all);
                        return NULL;
                }
                if (key)
                        cJSON_AddItemToObject(all, key, value);
                else
                        cJSON_AddItemToArray(all, value);
        }
        return all;
}

cJSON *value_read(sd_bus_message *m)
{
        const char *contents;
        cJSON *value;
        char type;

        if (sd_bus_message_peek_type(m, &type, &contents) <= 0)
                return NULL;
        if (!strchr("arv", type))
                return read_basic(m, type);
        if (type == 'a' && contents[0] == 'y')
                return read_bytes(m);
        bool dictionary = type == 'a' && contents[0] == '{';
        if (sd_bus_message_enter_container(m, type, contents) < 0)
                return NULL;
        value = type == 'v' ? value_read(m) : read_members(m, dictionary);
        (void) sd_bus_message_exit_container(m);
        return value;
}

cJSON *value_read_records(sd_bus_message *m, const char *const *fields)
{
        cJSON *rows = value_read(m), *row, *records = cJSON_IsArray(rows) ? cJSON_CreateArray() : NULL;

        cJSON_ArrayForEach(row, rows) {
                cJSON *record = cJSON_CreateObject();

                for (size_t i = 0; fields[i]; i++)
                        cJSON_AddItemToObject(record, fields[i], cJSON_DetachItemFromArray(row, 0));
                cJSON_AddItemToArray(records, record);
        }
        cJSON_Delete(rows);
        return records;
}

void value_sort(cJSON *array, int (*compare)(const void *a, const void *b))
{
        size_t n = (size_t) cJSON_GetArraySize(array);
        _cleanup_free_ cJSON **items = calloc(n + 1, sizeof *items);

        if (!items)
                return;
        for (size_t i = 0; i < n; i++)
                items[i] = cJSON_DetachItemFromArray(array, 0);
        qsort(items, n, sizeof *items, compare);
        for (size_t i = 0; i < n; i++)
                cJSON_AddItemToArray(array, items[i]);
}

/* The other records of ackctl have these names for what a message has. */
static const struct {
        const char *property, *name;
} names[] = {
                {"Receiver", "receiver_id"},
                {"ReceiverName", "receiver"},
                {"LastError", "error"},
};

/* "NextRetry" becomes "next_retry". The result is malloc'ed. NULL: out of memory. */
static char *name_of_property(const char *property)
{
        char *name, *end;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (str_equal(property, names[i].property))
                        return strdup(names[i].name);
        name = end = malloc(2 * strlen(property) + 1);
        for (const char *p = property; name && *p; p++) {
                if (isupper((unsigned char) *p) && p > property)
                        *end++ = '_';
                *end++ = (char) tolower((unsigned char) *p);
        }
        if (name)
                *end = '\0';
        return name;
}

cJSON *value_of_properties(const cJSON *properties)
{
        cJSON *record = cJSON_CreateObject();
        const cJSON *p;

        cJSON_ArrayForEach(p, properties) {
                _cleanup_free_ char *name = name_of_property(p->string);

                if (name)
                        cJSON_AddItemToObject(record, name, cJSON_Duplicate(p, true));
        }
        return record;
}

const char *value_string(const cJSON *object, const char *field)
{
        return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, field)) ?: "";
}

double value_number(const cJSON *object, const char *field)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);

        return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

bool value_flag(const cJSON *object, const char *field)
{
        return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, field));
}

/* cJSON writes some numbers of 16 digits with an exponent. Times are such numbers. This makes cJSON write
 * all digits. */
static void write_out_integers(cJSON *value)
{
        cJSON *child;
        char digits[32];

        if (cJSON_IsNumber(value) && value->valuedouble >= 1e15 && value->valuedouble < 1e19) {
                (void) snprintf(digits, sizeof digits, "%.0f", value->valuedouble);
                value->valuestring = strdup(digits);
                if (value->valuestring)
                        value->type = cJSON_Raw;
        }
        cJSON_ArrayForEach(child, value)
                write_out_integers(child);
}

void value_print(const Ctl *c, const cJSON *value)
{
        _cleanup_(cjsonp) cJSON *copy = cJSON_Duplicate(value, true);

        if (copy)
                write_out_integers(copy);
        char *text = c->json == JSON_PRETTY ? cJSON_Print(copy) : cJSON_PrintUnformatted(copy);

        if (text)
                puts(text);
        free(text);
        (void) fflush(stdout);
}
