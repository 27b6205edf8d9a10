/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the redo log has of the outbox and the tables do not. A message that is accepted, sent and acked
 * before the log is full never reaches the tables, except for the newest ones, which are history. */

#include "store/memtable.h"

int outbox_memtable_new(Memtable *ret); /* 0 or -ENOMEM */
