/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Converts D-Bus values to JSON, for --json and for tables. */

#include <cjson/cJSON.h>

#include "ctl/ctl.h"

static inline void cjsonp(cJSON **p)
{
        cJSON_Delete(*p);
}

/* Reads the next value. Bytes become a string if they are text, otherwise an array of numbers. NULL:
 * unreadable value, or out of memory. */
cJSON *value_read(sd_bus_message *m);

/* Properties of D-Bus as a record, with names as in all records of ackctl: "NextRetry" is "next_retry".
 * Delete it. NULL: out of memory. */
cJSON *value_of_properties(const cJSON *properties);

/* Reads the next value, an array of structs, as an array of objects. `fields`: the names of the members;
 * ends with NULL. NULL: the value has another type, or out of memory. */
cJSON *value_read_records(sd_bus_message *m, const char *const *fields);

const char *value_string(const cJSON *object, const char *field); /* "" if there is none */
double value_number(const cJSON *object, const char *field);      /* 0 if there is none */
bool value_flag(const cJSON *object, const char *field);          /* false if there is none */

/* Sorts an array. `compare` gets pointers to cJSON *, as from qsort(). Without memory it stays as it is. */
void value_sort(cJSON *array, int (*compare)(const void *a, const void *b));

void value_print(const Ctl *c, const cJSON *value); /* in the form that --json selects, with a newline */

/* Convert bytes to the form of value_read(), and back. The bytes are malloc'ed. A value of another type
 * gives no bytes. NULL: out of memory. */
cJSON *value_of_bytes(const void *data, size_t n);
char *value_bytes(const cJSON *value, size_t *ret_n);
