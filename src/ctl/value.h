/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* D-Bus values as JSON: what is printed with --json, and what tables are made from. */

#include <cjson/cJSON.h>

#include "ctl/ctl.h"

static inline void cjsonp(cJSON **p)
{
        cJSON_Delete(*p);
}

/* Reads the next value. Bytes become a string where they are text, else an array of numbers. NULL when it
 * cannot be read, or out of memory. */
cJSON *value_read(sd_bus_message *m);

/* Reads the next value, an array of structs, as an array of objects with these field names (ends with NULL).
 */
cJSON *value_read_records(sd_bus_message *m, const char *const *fields);

const char *value_string(const cJSON *object, const char *field); /* "" where there is none */
double value_number(const cJSON *object, const char *field);      /* 0 where there is none */

void value_print(const Ctl *c, const cJSON *value); /* as --json says, with a newline */

/* The bytes that such a string or array of numbers stands for, malloc'ed; none for other values. NULL when
 * out of memory. */
char *value_bytes(const cJSON *value, size_t *ret_n);

cJSON *value_of_bytes(const void *data, size_t n);
