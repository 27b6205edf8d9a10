/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/columns.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <wchar.h>

/* Moves *p past one character and returns its width. A byte that the locale cannot decode has width 1. */
static size_t next_character(const char **p)
{
        mbstate_t state = {};
        wchar_t character;
        size_t n = mbrtowc(&character, *p, MB_CUR_MAX, &state);
        int width = n <= MB_CUR_MAX ? wcwidth(character) : -1;

        if (width < 0)
                for (n = 1; ((*p)[n] & 0xc0) == 0x80;)
                        n++;
        *p += n;
        return width < 0 ? 1 : (size_t) width;
}

size_t columns_of(const char *text)
{
        size_t n = 0;

        while (*text)
                n += next_character(&text);
        return n;
}

size_t columns_print(FILE *to, const char *text, size_t columns)
{
        bool whole = columns_of(text) <= columns;
        size_t room = whole ? columns : columns - 1, used = 0;
        const char *end = text, *next = text;

        if (columns == 0)
                return 0;
        while (*end) {
                size_t width = next_character(&next);
                if (used + width > room)
                        break;
                used += width;
                end = next;
        }
        fprintf(to, "%.*s%s", (int) (end - text), text, whole ? "" : "…");
        return whole ? used : used + 1;
}

size_t columns_of_terminal(int fd)
{
        struct winsize size;

        return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
