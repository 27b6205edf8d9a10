/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/database.h"

#include "base/time-util.h"

/* A disk that has not answered for so long does not come back by waiting: systemd shall start us again. */
#define DISK_PATIENCE_USEC (30 * USEC_PER_SEC)

static void on_post(void *userdata)
{
        Database *d = userdata;

        if (d->before_kick)
                d->before_kick(d->userdata);
        db_kick(d->db);
}

static void on_finished(uint32_t events, void *userdata)
{
        Database *d = userdata;

        db_dispatch(d->db);
}

bool database_is_alive(void *userdata)
{
        Database *d = userdata;

        return !d->db || db_is_alive(d->db, DISK_PATIENCE_USEC);
}

int database_start(Database *d, Loop *loop, Db *db, void (*before_kick)(void *userdata), void *userdata)
{
        int r;

        *d = (Database){.loop = loop, .db = db, .before_kick = before_kick, .userdata = userdata};
        r = db_start(db);
        if (r >= 0)
                r = watch_start(&d->watch, loop, db_fd(db), EPOLLIN, on_finished, d);
        if (r < 0)
                return r;
        loop_set_post(loop, on_post, d);
        return 0;
}

Db *database_close(Database *d, Db *db)
{
        if (watch_is_started(&d->watch)) {
                watch_stop(&d->watch);
                loop_set_post(d->loop, NULL, NULL);
        }
        *d = (Database){};
        return db_close(db);
}

void database_mark(Db *db, sd_id128_t *ret_boot, uint64_t *ret_lock_device, uint64_t *ret_lock_inode)
{
        *ret_boot = SD_ID128_NULL;
        *ret_lock_device = *ret_lock_inode = 0;
        (void) sd_id128_get_boot(ret_boot);
        (void) db_lock_identity(db, ret_lock_device, ret_lock_inode);
}
