/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the tests of what is on disk. */

#include "store/db.h"

/* The files as a kill would leave them now: what is only in the redo log stays there. */
static inline Db *crash(const char *directory, Db *db)
{
        char command[512];

        (void) snprintf(command, sizeof command, "mkdir %s/x && cp %s/db* %s/x/", directory, directory,
                        directory);
        assert_int_equal(system(command), 0);
        db = db_close(db);
        (void) snprintf(command, sizeof command, "rm %s/db*; mv %s/x/* %s/ && rmdir %s/x", directory,
                        directory, directory, directory);
        assert_int_equal(system(command), 0);
        return db;
}
