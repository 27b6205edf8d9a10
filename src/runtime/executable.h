/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs before they are executed, and why they cannot be. */

#include "base/macro.h"

/* 0, or the negative errno with which execve() of the file would fail, as far as that can be seen. */
int executable_check(const char *path);

/* True: the file, and the interpreter that its first line names, are on file systems of this host, which do
 * not hang. */
bool executable_is_local(const char *path);

/* One line for a person: the path, the text of the errno, and what to do. malloc'ed, or NULL. */
char *executable_explain(const char *path, int error);
