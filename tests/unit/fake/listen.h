/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* runtime/listen.h without sockets: listeners are only addresses, and nobody connects by itself. */

#include "runtime/listen.h"

/* The next listeners_bind() fails with -error. */
void fake_listen_fail(int error);
