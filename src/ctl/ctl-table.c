/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl-table.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <wchar.h>

#include "base/str-util.h"
#include "base/time-util.h"

#define GAP          2
#define SHRUNK_WIDTH 8 /* not narrower than this */

Style state_style(const char *state)
{
        static const struct {
                const char *state;
                Style style;
        } styles[] = {
                        {"acked", STYLE_GOOD},
                        {"connected", STYLE_GOOD},
                        {"reachable", STYLE_GOOD},
                        {"rejected", STYLE_BAD},
                        {"dead", STYLE_BAD},
                        {"unreachable", STYLE_BAD},
                        {"member-acked", STYLE_GOOD},
                        {"member-rejected", STYLE_BAD},
                        {"member-dead", STYLE_BAD},
                        {"conflict", STYLE_BAD},
                        {"giving-up", STYLE_WARN},
                        {"draining", STYLE_WARN},
                        {"moved", STYLE_WARN},
                        {"waiting", STYLE_WARN},
                        {"no-ack", STYLE_WARN},
                        {"failed", STYLE_WARN},
                        {"busy", STYLE_WARN},
                        {"disconnected", STYLE_WARN},
                        {"cancelling", STYLE_WARN},
                        {"cancelled", STYLE_WARN},
                        {"idle", STYLE_DIM},
        };

        for (size_t i = 0; i < ELEMENTSOF(styles); i++)
                if (str_equal(state, styles[i].state))
                        return styles[i].style;
        return STYLE_NONE;
}

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
        case COLUMN_LIST:
                return format_list(value);
        default:
                /* What others wrote must not steer the terminal. */
                bytes = value_bytes(value, &n);
                return n == 0 ? strdup("-") : str_printable(bytes, n, 4096);
        }
}

/* Columns of the terminal that a text takes. */
static size_t text_width(const char *text)
{
        wchar_t wide[512];
        size_t n = mbstowcs(wide, text, ELEMENTSOF(wide));
        int width = n == (size_t) -1 ? -1 : wcswidth(wide, MIN(n, ELEMENTSOF(wide)));

        return width < 0 ? strlen(text) : (size_t) width;
}

static size_t terminal_width(const Ctl *c)
{
        struct winsize size;

        if (!c->out_is_terminal)
                return SIZE_MAX;
        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Takes what is too much from the columns that may shrink, the last one first. */
static void fit(size_t *widths, const Column *columns, size_t n, size_t available)
{
        size_t total = 0;

        for (size_t i = 0; i < n; i++)
                total += widths[i] + (i > 0 ? GAP : 0);
        for (size_t i = n; i-- > 0 && total > available;) {
                if (!columns[i].shrink || widths[i] <= SHRUNK_WIDTH)
                        continue;
                size_t less = MIN(total - available, widths[i] - SHRUNK_WIDTH);
                widths[i] -= less;
                total -= less;
        }
}

static void print_cut(const char *text, size_t width)
{
        size_t room = width - 1, used = 0;

        while (*text && used < room) {
                size_t bytes = 1;

                while ((text[bytes] & 0xc0) == 0x80)
                        bytes++;
                printf("%.*s", (int) bytes, text);
                text += bytes;
                used++;
        }
        fputs("…", stdout);
}

static void print_cell(
                const Ctl *c, const Column *column, const char *text, size_t width, bool title, bool last)
{
        size_t own = text_width(text), padding = own < width ? width - own : 0;
        bool right = column->kind == COLUMN_NUMBER || column->kind == COLUMN_SIZE;
        Style style = title ? STYLE_BOLD : column->kind == COLUMN_STATE ? state_style(text) : STYLE_NONE;

        if (right)
                printf("%*s", (int) padding, "");
        fputs(style_begin(c->out_colour, style), stdout);
        if (own > width)
                print_cut(text, width);
        else
                fputs(text, stdout);
        fputs(style_end(c->out_colour, style), stdout);
        if (!last)
                printf("%*s", (int) (GAP + (right ? 0 : padding)), "");
}

static void print_rows(const Ctl *c, const cJSON *records, const Column *columns, size_t n, char **cells)
{
        size_t n_rows = (size_t) cJSON_GetArraySize(records), widths[COLUMNS_MAX];

        for (size_t i = 0; i < n; i++) {
                widths[i] = c->no_legend ? 0 : text_width(columns[i].title);
                for (size_t row = 0; row < n_rows; row++)
                        widths[i] = MAX(widths[i], text_width(cells[row * n + i] ?: ""));
        }
        fit(widths, columns, n, terminal_width(c));
        for (size_t i = 0; i < n && !c->no_legend; i++)
                print_cell(c, columns + i, columns[i].title, widths[i], true, i + 1 == n);
        if (!c->no_legend)
                putchar('\n');
        for (size_t row = 0; row < n_rows; row++) {
                for (size_t i = 0; i < n; i++)
                        print_cell(c, columns + i, cells[row * n + i] ?: "", widths[i], false, i + 1 == n);
                putchar('\n');
        }
}

void table_print(const Ctl *c, const cJSON *records, const Column *columns, const char *noun)
{
        size_t n = 0, n_cells = 0;
        const cJSON *record;

        if (c->json != JSON_OFF) {
                value_print(c, records);
                return;
        }
        while (columns[n].title)
                n++;
        size_t n_rows = (size_t) cJSON_GetArraySize(records);
        char **cells = calloc(n_rows * n + 1, sizeof *cells);
        if (!cells)
                return;
        cJSON_ArrayForEach(record, records) {
                for (size_t i = 0; i < n; i++)
                        cells[n_cells++] = cell_format(c,
                                        cJSON_GetObjectItemCaseSensitive(record, columns[i].field),
                                        columns[i].kind);
        }
        if (n_rows > 0)
                print_rows(c, records, columns, n, cells);
        if (!c->no_legend)
                printf("%s%zu %s%s.\n", n_rows > 0 ? "\n" : "", n_rows, noun, n_rows == 1 ? "" : "s");
        for (size_t i = 0; i < n_cells; i++)
                free(cells[i]);
        free(cells);
}

void lines_print(const Ctl *c, const cJSON *record, const Column *columns)
{
        size_t width = 0;

        if (c->json != JSON_OFF) {
                value_print(c, record);
                return;
        }
        for (const Column *column = columns; column->title; column++)
                width = MAX(width, strlen(column->title));
        for (const Column *column = columns; column->title; column++) {
                const cJSON *value = cJSON_GetObjectItemCaseSensitive(record, column->field);
                _cleanup_free_ char *text = cell_format(c, value, column->kind);
                Style style = column->kind == COLUMN_STATE && text ? state_style(text) : STYLE_NONE;

                if (!text || (str_equal(text, "-") && !str_equal(cJSON_GetStringValue(value), "-")))
                        continue;
                printf("%*s: %s%s%s\n", (int) width, column->title, style_begin(c->out_colour, style), text,
                                style_end(c->out_colour, style));
        }
}
