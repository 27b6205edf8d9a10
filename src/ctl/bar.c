/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/bar.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/columns.h"

#define ERASE_LINE "\r\033[K"

char *bar_draw(char *buffer, size_t width, double part)
{
        size_t full = part <= 0 ? 0 : part >= 1 ? width : (size_t) (part * (double) width);

        memset(buffer, '#', full);
        memset(buffer + full, ' ', width - full);
        buffer[width] = '\0';
        return buffer;
}

void bar_show(Bar *b, const char *line)
{
        fputs(ERASE_LINE, stderr);
        /* The terminal must not wrap the line: a wrapped line cannot be erased. */
        (void) columns_print(stderr, line, columns_of_terminal(STDERR_FILENO) - 1);
        (void) fflush(stderr);
        b->shown = true;
}

void bar_keep(Bar *b)
{
        if (b->shown)
                fputc('\n', stderr);
        b->shown = false;
}

void bar_erase(Bar *b)
{
        if (b->shown)
                fputs(ERASE_LINE, stderr);
        b->shown = false;
}
