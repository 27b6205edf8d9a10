/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "ctl/run.h"

int main(int argc, char **argv)
{
        bool out = isatty(STDOUT_FILENO), err = isatty(STDERR_FILENO),
             colour = str_empty(getenv("NO_COLOR"));
        Ctl c = {
                        .out_is_terminal = out,
                        .err_is_terminal = err,
                        .out_colour = colour && out,
                        .err_colour = colour && err,
        };

        fd_open_standard();
        (void) setlocale(LC_CTYPE, "");
        return ctl_run(&c, argc, argv);
}
