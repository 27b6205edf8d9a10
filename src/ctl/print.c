/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/ctl.h"

const char *style_begin(bool colour, Style style)
{
        static const char *const codes[_STYLE_MAX] = {
                        [STYLE_GOOD] = "\033[32m",
                        [STYLE_BAD] = "\033[31m",
                        [STYLE_WARN] = "\033[33m",
                        [STYLE_DIM] = "\033[2m",
                        [STYLE_BOLD] = "\033[1m",
        };

        return colour && codes[style] ? codes[style] : "";
}

const char *style_end(bool colour, Style style)
{
        return colour && style != STYLE_NONE ? "\033[0m" : "";
}

int ctl_fail(ExitCode code, const char *format, ...)
{
        va_list ap;

        fputs("ackctl: ", stderr);
        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        return code;
}
