/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/table.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/columns.h"
#include "ctl/print.h"

#define GAP 2u

static char *format_size(double bytes)
{
        static const char units[] = "BKMG";
        size_t unit = 0;

        while (bytes >= 1024 && unit + 1 < STRLEN("BKMG"))
                bytes /= 1024, unit++;
        return str_format(unit == 0 || bytes >= 10 ? "%.0f%c" : "%.1f%c", bytes, units[unit]);
}

static char *format_time(double usec)
{
        time_t seconds = (time_t) (usec / (double) USEC_PER_SEC);
        char text[32];
        struct tm tm;

        if (usec == 0 || !localtime_r(&seconds, &tm) || strftime(text, sizeof text, "%F %T", &tm) == 0)
                return strdup("-");
        return strdup(text);
}

static char *format_list(const cJSON *list)
{
        _cleanup_free_ char *all = strdup("");
        const cJSON *item;

        cJSON_ArrayForEach(item, list) {
                char *longer = str_format("%s%s%s%s%s", all ?: "", str_empty(all) ? "" : ",",
                                item->string ?: "", item->string ? "=" : "",
                                cJSON_GetStringValue(item) ?: "");
                free(all);
                all = longer;
        }
        return str_empty(all) ? strdup("-") : TAKE_PTR(all);
}

char *cell_format(const Ctl *c, const cJSON *value, ColumnKind kind)
{
        const char *text = cJSON_GetStringValue(value);
        double number = cJSON_IsNumber(value) ? value->valuedouble : 0;
        _cleanup_free_ char *bytes = NULL;
        size_t n;

        switch (kind) {
        case COLUMN_ID:
                return c->out_is_terminal ? strndup(text ?: "", 8) : strdup(text ?: "");
        case COLUMN_NUMBER:
                return str_format("%.0f", number);
        case COLUMN_SIZE:
                return c->out_is_terminal ? format_size(number) : str_format("%.0f", number);
        case COLUMN_TIME:
                return format_time(number);
        case COLUMN_FLAG:
                return strdup(cJSON_IsTrue(value) ? "yes" : "-");
        case COLUMN_LIST:
                return format_list(value);
        default:
                /* Control characters in data must not reach the terminal. */
                bytes = value_bytes(value, &n);
                return n == 0 ? strdup("-") : str_printable(bytes, n, 4096);
        }
}

/* A column that is shown. */
typedef struct Shown {
        const Column *column;
        size_t cell;           /* its index in a row */
        size_t longest, width; /* columns: of the longest cell; as printed */
} Shown;

typedef struct Table {
        const Ctl *c;
        char **cells; /* all cells of a row, then the next row */
        size_t n_rows, n_cells;
        Shown shown[COLUMNS_MAX];
        size_t n_shown;
} Table;

static const char *get_cell(const Table *t, const Shown *s, size_t row)
{
        return t->cells[row * t->n_cells + s->cell] ?: "";
}

static void measure(Table *t, Shown *s)
{
        s->longest = t->c->no_legend ? 0 : columns_of(s->column->title);
        for (size_t row = 0; row < t->n_rows; row++)
                s->longest = MAX(s->longest, columns_of(get_cell(t, s, row)));
}

/* "2026-01-31 18:00:00" becomes "01-31 18:00". */
static void shorten_times(Table *t, Shown *s)
{
        for (size_t row = 0; row < t->n_rows; row++) {
                char *cell = t->cells[row * t->n_cells + s->cell];

                if (!cell || strlen(cell) != STRLEN("2026-01-31 18:00:00"))
                        continue;
                memmove(cell, cell + STRLEN("2026-"), STRLEN("01-31 18:00"));
                cell[STRLEN("01-31 18:00")] = '\0';
        }
        measure(t, s);
}

static void leave_out(Table *t, unsigned turn)
{
        size_t n = 0;

        for (size_t i = 0; i < t->n_shown; i++)
                if (t->shown[i].column->leave != turn)
                        t->shown[n++] = t->shown[i];
        t->n_shown = n;
}

/* Shrinks columns to the available width, the last column first. Returns true if all columns fit. */
static bool fit(Table *t, size_t available)
{
        size_t total = 0;

        for (size_t i = 0; i < t->n_shown; i++) {
                t->shown[i].width = t->shown[i].longest;
                total += t->shown[i].width + (i > 0 ? GAP : 0);
        }
        for (size_t i = t->n_shown; i-- > 0 && total > available;) {
                Shown *s = t->shown + i;

                if (s->column->least == 0 || s->width <= s->column->least)
                        continue;
                size_t less = MIN(total - available, s->width - s->column->least);
                s->width -= less;
                total -= less;
        }
        return total <= available;
}

/* Fits the table to the terminal. Shrinks columns, then removes year and seconds from times, then omits
 * whole columns. */
static void lay_out(Table *t, size_t available)
{
        for (size_t i = 0; i < t->n_shown; i++)
                measure(t, t->shown + i);
        if (fit(t, available))
                return;
        for (size_t i = 0; i < t->n_shown; i++)
                if (t->shown[i].column->kind == COLUMN_TIME)
                        shorten_times(t, t->shown + i);
        for (unsigned turn = 1; !fit(t, available) && turn <= COLUMNS_MAX; turn++)
                leave_out(t, turn);
}

static void print_cell(const Table *t, const Shown *s, const char *text, bool title)
{
        size_t own = MIN(columns_of(text), s->width);
        bool right = s->column->kind == COLUMN_NUMBER || s->column->kind == COLUMN_SIZE,
             last = s + 1 == t->shown + t->n_shown;
        Style style = title                             ? STYLE_BOLD
                      : s->column->kind == COLUMN_STATE ? style_of_word(text)
                                                        : STYLE_NONE;

        if (right)
                printf("%*s", (int) (s->width - own), "");
        fputs(style_begin(t->c->out_colour, style), stdout);
        own = columns_print(stdout, text, s->width);
        fputs(style_end(t->c->out_colour, style), stdout);
        if (!last)
                printf("%*s", (int) (GAP + (right ? 0 : s->width - own)), "");
}

static void print_rows(const Table *t)
{
        for (size_t i = 0; i < t->n_shown && !t->c->no_legend; i++)
                print_cell(t, t->shown + i, t->shown[i].column->title, true);
        if (!t->c->no_legend)
                putchar('\n');
        for (size_t row = 0; row < t->n_rows; row++) {
                for (size_t i = 0; i < t->n_shown; i++)
                        print_cell(t, t->shown + i, get_cell(t, t->shown + i, row), false);
                putchar('\n');
        }
}

void table_print(const Ctl *c, const cJSON *records, const Column *columns, const char *noun)
{
        Table t = {.c = c, .n_rows = (size_t) cJSON_GetArraySize(records)};
        const cJSON *record;
        size_t n = 0;

        if (c->json != JSON_OFF) {
                value_print(c, records);
                return;
        }
        for (; columns[t.n_cells].title; t.n_cells++)
                t.shown[t.n_shown++] = (Shown){.column = columns + t.n_cells, .cell = t.n_cells};
        t.cells = calloc(t.n_rows * t.n_cells + 1, sizeof *t.cells);
        if (!t.cells)
                return;
        cJSON_ArrayForEach(record, records) {
                for (size_t i = 0; i < t.n_cells; i++)
                        t.cells[n++] = cell_format(c,
                                        cJSON_GetObjectItemCaseSensitive(record, columns[i].field),
                                        columns[i].kind);
        }
        if (t.n_rows > 0) {
                lay_out(&t, !c->out_is_terminal  ? SIZE_MAX
                                : c->columns > 0 ? c->columns
                                                 : columns_of_terminal(STDOUT_FILENO));
                print_rows(&t);
        }
        if (!c->no_legend)
                printf("%s%zu %s%s.\n", t.n_rows > 0 ? "\n" : "", t.n_rows, noun, t.n_rows == 1 ? "" : "s");
        for (size_t i = 0; i < n; i++)
                free(t.cells[i]);
        free(t.cells);
}

void lines_print(const Ctl *c, const cJSON *properties, const Column *columns)
{
        size_t width = 0;

        if (c->json != JSON_OFF) {
                _cleanup_(cjsonp) cJSON *named = value_of_properties(properties);
                value_print(c, named);
                return;
        }
        for (const Column *column = columns; column->title; column++)
                width = MAX(width, strlen(column->title));
        for (const Column *column = columns; column->title; column++) {
                const cJSON *value = cJSON_GetObjectItemCaseSensitive(properties, column->field);
                _cleanup_free_ char *text = cell_format(c, value, column->kind);
                Style style = column->kind == COLUMN_STATE && text ? style_of_word(text) : STYLE_NONE;

                if (!text || (str_equal(text, "-") && !str_equal(cJSON_GetStringValue(value), "-")))
                        continue;
                printf("%*s: %s%s%s\n", (int) width, column->title, style_begin(c->out_colour, style), text,
                                style_end(c->out_colour, style));
        }
}
