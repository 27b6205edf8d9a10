/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* The body of an answer to a request that no route takes: JSON, malloc'ed; NULL: out of memory. `status` is
 * 404, 405, 413 or 415; any other becomes 503. *ret_status is the status to answer with. */
char *http_refusal(unsigned status, unsigned *ret_status);
