/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who the receiver is to discovery: it registers, keeps its lease, comes back with its id after a restart of
 * either side, and leaves. What makes it that receiver (id, token) is synced before it says that it is
 * ready.
 *
 * Discovery out of reach is never a reason to stop serving. An id that is alive at another instance is: this
 * may be a copied state directory, so after one lease, in which a dead holder would have gone, the receiver
 * forgets everything and becomes a new one. */

#include "base/error.h"

typedef struct Receiver Receiver;
typedef struct Register Register;

int register_new(Receiver *r, Register **ret, Error *error);
Register *register_free(Register *g); /* after the database is closed */

void register_begin(Register *g);
void register_renew(Register *g); /* something that discovery lists may have changed */
/* Tells discovery that we go, for a moment at most; then `left` is called, from here or from the loop. */
void register_leave(Register *g, void (*left)(Receiver *r));
