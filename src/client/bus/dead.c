/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "client/bus/manager.h"
#include "client/engine/deliver.h"

static void fail(sd_bus_message *call, int r)
{
        const char *id = "";

        (void) sd_bus_message_rewind(call, true);
        (void) sd_bus_message_read(call, "s", &id);
        (void) bus_fail_look_up(call, id, r);
}

static int fail_purging(sd_bus_message *call)
{
        return bus_fail(call, "NoSuchMessage", "The message is being purged");
}

static void on_found_to_retry(Message *m, int r, void *userdata)
{
        sd_bus_message *call = userdata;

        if (r >= 0) {
                r = deliver_revive(m);
                if (r == -EALREADY)
                        r = bus_fail(call, "NotDead", "The message is %s, not a dead letter",
                                        delivery_state_to_string(m->record.state));
                else if (r == -EBUSY)
                        r = bus_fail(call, "NotDead", "Its end is not on disk yet: try again soon");
                else if (r == -ENOENT)
                        r = fail_purging(call);
                else if (r >= 0)
                        r = bus_wait_saved(m->client->observer.userdata, m, call);
                if (r < 0)
                        (void) sd_bus_reply_method_errno(call, r, NULL);
        } else
                fail(call, r);
        sd_bus_message_unref(call);
}

static int look_up(sd_bus_message *call, ClientBus *b, void (*found)(Message *m, int r, void *userdata))
{
        const char *id;
        int r = sd_bus_message_read(call, "s", &id);

        if (r < 0)
                return r;
        message_look_up(&b->client, id, found, sd_bus_message_ref(call));
        return 1;
}

int bus_method_retry(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return look_up(call, userdata, on_found_to_retry);
}

typedef struct Purge {
        OutboxPurgeOp purge;
        Message *message; /* pinned */
        sd_bus_message *call;
} Purge;

static void on_purged(DbOp *op, int r)
{
        Purge *p = CONTAINER_OF(CONTAINER_OF(op, OutboxPurgeOp, op), Purge, purge);
        Message *m = p->message;

        if (r == -EBUSY)
                (void) bus_fail(p->call, "NotDead", "The message is not at its end yet: cancel it first");
        else if (r < 0)
                (void) bus_fail(p->call, "Storage", "The outbox cannot be written: %s", strerror(-r));
        else
                (void) sd_bus_reply_method_return(p->call, NULL);
        m->pins--;
        m->purging = false;
        if (r >= 0 && delivery_state_is_dead_letter(m->record.state))
                m->client->messages.n_dead--;
        if (r >= 0)
                message_forget(m);
        else
                message_release(m);
        sd_bus_message_unref(p->call);
        free(p);
}

static void on_found_to_purge(Message *m, int r, void *userdata)
{
        sd_bus_message *call = userdata;
        Purge *p = r >= 0 ? calloc(1, sizeof *p) : NULL;

        if (!p || m->purging) {
                if (p)
                        (void) fail_purging(call);
                else
                        fail(call, r < 0 ? r : -ENOMEM);
                sd_bus_message_unref(call);
                free(p);
                return;
        }
        m->purging = true;
        outbox_purge_op_init(&p->purge);
        p->message = m;
        p->call = call;
        p->purge.number = m->record.number;
        p->purge.op.done = on_purged;
        message_pin(m);
        db_submit(m->client->db, &p->purge.op);
}

int bus_method_purge(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return look_up(call, userdata, on_found_to_purge);
}
