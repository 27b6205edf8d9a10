/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first process of a ward, between fork and exec. Only for runtime/warden-process.c. */

#include "runtime/warden.h"

/* Never returns. *error is memory that both processes share; it gets an errno when the program cannot be
 * executed. */
_Noreturn void ward_program(const WardSpec *spec, volatile int *error);
