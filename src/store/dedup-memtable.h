/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the redo log has of a receiver's outcomes and the tables do not: for each stream, where in the log
 * its outcomes are, and its last prune. An outcome that is settled before the log is full never reaches the
 * tables. */

#include "store/memtable.h"

int dedup_memtable_new(Memtable *ret); /* 0 or -ENOMEM */
