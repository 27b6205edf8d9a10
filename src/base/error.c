/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(Error *error, int r, const char *format, ...)
{
        va_list ap;

        if (!error)
                return r;
        va_start(ap, format);
        (void) vsnprintf(error->text, sizeof error->text, format, ap);
        va_end(ap);
        return r;
}
