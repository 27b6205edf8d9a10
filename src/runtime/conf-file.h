/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads files in the syntax of systemd.syntax(7): [Section], Key=Value, comments that begin with "#" or ";"
 * at the beginning of a line and nowhere else, blanks around each part ignored, a backslash at the end of a
 * line that goes on in the next one. A value is taken as it stands, with its quotes. */

#include "base/error.h"

#define CONF_LINE_MAX (64u * 1024) /* bytes, with all lines that a backslash joins */

/* One assignment. `line` is the number, from 1, of the line that it begins in. Negative errno with the
 * reason ends the reading. */
typedef int (*ConfAssign)(const char *section, const char *key, const char *value, unsigned line,
                void *userdata, Error *error);

/* Calls `assign` for each assignment, in order. Negative errno: that of `assign`; -EINVAL with file and
 * line; or -ENOENT and its like if the file cannot be read. */
int conf_file_read(const char *path, ConfAssign assign, void *userdata, Error *error);
