/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* D-Bus values as JSON: --json prints it, and tables are made from it. */

#include <cjson/cJSON.h>

#include "ctl/ctl.h"

static inline void cjsonp(cJSON **p)
{
        cJSON_Delete(*p);
}

/* Reads the next value. Bytes become a string where they are text, else an array of numbers. NULL when the
 * value cannot be read, and when out of memory. */
cJSON *value_read(sd_bus_message *m);

/* Reads the next value, an array of structs, as an array of objects. `fields` are the names of the members,
 * and end with NULL. NULL when the value has another form, and when out of memory. */
cJSON *value_read_records(sd_bus_message *m, const char *const *fields);

const char *value_string(const cJSON *object, const char *field); /* "" where there is none */
double value_number(const cJSON *object, const char *field);      /* 0 where there is none */

void value_print(const Ctl *c, const cJSON *value); /* in the form that --json asks for, and a newline */

/* Bytes as value_read() gives them, and back: malloc'ed; no bytes for a value of another type. NULL when out
 * of memory. */
cJSON *value_of_bytes(const void *data, size_t n);
char *value_bytes(const cJSON *value, size_t *ret_n);
