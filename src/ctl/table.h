/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records (an array of JSON objects) as a table that fits the terminal, or as JSON. */

#include "ctl/value.h"

typedef enum ColumnKind {
        COLUMN_TEXT,
        COLUMN_ID,     /* the first 8 digits on a terminal */
        COLUMN_STATE,  /* coloured */
        COLUMN_NUMBER, /* aligned to the right */
        COLUMN_SIZE,
        COLUMN_TIME, /* µs since 1970; "-" for 0 */
        COLUMN_LIST, /* an array, or an object as key=value; joined by commas */
} ColumnKind;

typedef struct Column {
        const char *title;
        const char *field;
        ColumnKind kind;
        size_t least;   /* on a narrow terminal the column shrinks to this; 0: never */
        unsigned leave; /* if that is not enough, columns are left out in this order; 0: never */
} Column;

#define COLUMNS_MAX 12u

/* `columns` ends with one without a title; at most COLUMNS_MAX. `noun` is the word for a row, in the
 * singular. */
void table_print(const Ctl *c, const cJSON *records, const Column *columns, const char *noun);

/* One record, a line for each field; fields without a value are left out. Or as JSON. */
void lines_print(const Ctl *c, const cJSON *record, const Column *columns);

/* One cell as text, malloc'ed; NULL when out of memory. */
char *cell_format(const Ctl *c, const cJSON *value, ColumnKind kind);
