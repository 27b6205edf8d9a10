/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/database.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/time-util.h"
#include "runtime/journal.h"
#include "runtime/notify.h"

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

        const char *path;
        uint64_t page;

        db_dispatch(d->db);
        if (!db_is_unreadable(d->db, &path, &page) || d->gave_up)
                return;
        d->gave_up = true;
        if (page > 0)
                journal_event(JOURNAL_UNREADABLE, &(JournalFields){},
                                "Page %" PRIu64 " of %s is damaged: ending", page, path);
        else
                journal_event(JOURNAL_UNREADABLE, &(JournalFields){}, "%s is damaged: ending", path);
        loop_exit(d->loop, d->damaged_status);
}

bool database_is_alive(void *userdata)
{
        Database *d = userdata;

        return !d->db || db_is_alive(d->db, DISK_PATIENCE_USEC);
}

int database_start(Database *d, Loop *loop, Db *db, void (*before_kick)(void *userdata), void *userdata)
{
        int r;

        *d = (Database){
                        .loop = loop,
                        .db = db,
                        .before_kick = before_kick,
                        .userdata = userdata,
                        .damaged_status = EX_CONFIG,
        };
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

void database_describe_damage(const Db *db, char ret[static DAMAGE_TEXT_MAX])
{
        const Damage *d = db_damage(db);

        if (d->found)
                (void) snprintf(ret, DAMAGE_TEXT_MAX, "records are lost: %s%s%s", d->text,
                                d->kept[0] ? "; see " : "", d->kept);
        else
                (void) snprintf(ret, DAMAGE_TEXT_MAX, d->kept[0] ? "records were lost: see %s" : "%s",
                                d->kept);
}

void database_report_damage(const Db *db)
{
        const Damage *d = db_damage(db);
        char text[DAMAGE_TEXT_MAX];

        database_describe_damage(db, text);
        notify_remark(text);
        if (d->found)
                journal_event(JOURNAL_DAMAGED, &(JournalFields){.reason = d->text},
                                "The state is damaged, and records are lost: %s%s%s", d->text,
                                d->kept[0] ? "; what is damaged is kept as " : "", d->kept);
        else if (d->kept[0])
                log_warning("Records were lost at an earlier start: see %s, and remove it", d->kept);
        if (d->minor[0])
                log_warning("Power was lost during a write, or the disk has damaged it: %s", d->minor);
}

sd_id128_t database_machine(void)
{
        sd_id128_t id = SD_ID128_NULL;

        (void) sd_id128_get_machine(&id);
        return id;
}

void database_mark(Db *db, sd_id128_t *ret_boot, uint64_t *ret_lock_device, uint64_t *ret_lock_inode)
{
        *ret_boot = SD_ID128_NULL;
        *ret_lock_device = *ret_lock_inode = 0;
        (void) sd_id128_get_boot(ret_boot);
        (void) db_lock_identity(db, ret_lock_device, ret_lock_inode);
}
