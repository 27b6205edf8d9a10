/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* runtime/listen.h without sockets: a listener is only an address, and nobody connects to it. */

#include "runtime/listen.h"

/* The next listeners_bind() fails with -error. */
void fake_listen_fail(int error);
