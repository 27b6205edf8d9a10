/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The registry on disk follows what is in memory: changes are collected for a moment and written together, a
 * lease once however often it has changed. What the disk refuses is tried again. */

#include "discovery/discovery.h"

int save_init(Discovery *d);
void save_lease(Discovery *d, Lease *l);
void save_removed(Discovery *d, const Lease *l);
void save_all(Discovery *d); /* hands over what is left; db_close() waits for it */
void save_clear(Discovery *d);
