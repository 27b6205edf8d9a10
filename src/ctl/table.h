/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Prints records (an array of JSON objects) as a table that fits the terminal, or as JSON. */

#include "ctl/value.h"

typedef enum ColumnKind {
        COLUMN_TEXT,
        COLUMN_ID,     /* the first 8 digits on a terminal */
        COLUMN_STATE,  /* coloured */
        COLUMN_NUMBER, /* aligned to the right */
        COLUMN_SIZE,
        COLUMN_TIME, /* µs since 1970; "-" for 0 */
        COLUMN_FLAG, /* "yes", or "-" */
        COLUMN_LIST, /* an array, or an object as key=value; joined by commas */
} ColumnKind;

typedef struct Column {
        const char *title;
        const char *field;
        ColumnKind kind;
        size_t least;   /* smallest width on a narrow terminal; 0: never shrinks */
        unsigned leave; /* order in which columns are omitted if there is no room; 0: never */
} Column;

#define COLUMNS_MAX 12u

/* The last entry of `columns` has no title; at most COLUMNS_MAX columns. `noun`: the word for one row. */
void table_print(const Ctl *c, const cJSON *records, const Column *columns, const char *noun);

/* Prints the properties of one object: a line for each of the columns that has a value. With --json: all of
 * them, as value_of_properties() names them. */
void lines_print(const Ctl *c, const cJSON *properties, const Column *columns);

/* Returns one cell as text (malloc'ed); NULL: out of memory. */
char *cell_format(const Ctl *c, const cJSON *value, ColumnKind kind);
