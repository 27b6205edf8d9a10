/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records (an array of JSON objects) as a table that fits the terminal, or as JSON. */

#include "ctl/value.h"

typedef enum ColumnKind {
        COLUMN_TEXT,
        COLUMN_ID,     /* the first 8 digits on a terminal */
        COLUMN_STATE,  /* coloured */
        COLUMN_NUMBER, /* to the right */
        COLUMN_SIZE,
        COLUMN_TIME, /* µs since 1970; "-" for 0 */
        COLUMN_LIST, /* an array, or an object as key=value; joined by commas */
} ColumnKind;

typedef struct Column {
        const char *title;
        const char *field;
        ColumnKind kind;
        size_t least;   /* cut to so much where the terminal is too narrow; 0: never cut */
        unsigned leave; /* where that is not enough, left out in this order; 0: never */
} Column;

#define COLUMNS_MAX 12u

/* `columns` ends with one without a title. `noun` is what the rows are, for the line of the legend. */
void table_print(const Ctl *c, const cJSON *records, const Column *columns, const char *noun);

/* One record, a line for each column; those without a value are passed over. Or as JSON. */
void lines_print(const Ctl *c, const cJSON *record, const Column *columns);

/* One cell as text, malloc'ed; NULL when out of memory. */
char *cell_format(const Ctl *c, const cJSON *value, ColumnKind kind);
Style state_style(const char *state);
