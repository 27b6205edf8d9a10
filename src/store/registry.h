/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Discovery's leases on disk: id, token and the record as JSON text, which this floor does not look into.
 * Writes are handed to the database's thread and may lag; registering again repairs what was lost. */

#include <systemd/sd-id128.h>

#include "store/db.h"

int registry_open(const char *path, Db **ret, Error *error);

/* Before db_start(). A negative return of fn ends the reading and is returned. */
int registry_load(Db *db, int (*fn)(sd_id128_t id, sd_id128_t token, const char *record, void *userdata),
                void *userdata);

int registry_put(Db *db, sd_id128_t id, sd_id128_t token, const char *record);
int registry_remove(Db *db, sd_id128_t id);
