/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/save.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "discovery/leases.h"

#define DELAY_USEC (100 * USEC_PER_MSEC)
#define RETRY_USEC USEC_PER_SEC
#define BATCH_MAX  4096u

typedef struct Save {
        RegistryBatch batch;
        Discovery *discovery;
        Buffer leases, removed; /* what it writes, in case that fails */
} Save;

static void arm(Discovery *d, uint64_t usec)
{
        if (!d->saving && !timer_is_armed(&d->save_timer))
                (void) timer_arm_in(&d->save_timer, usec);
}

/* Out of memory: the registry is told with its next change. */
void save_lease(Discovery *d, Lease *l)
{
        if (!l->unsaved)
                l->unsaved = buffer_append(&d->unsaved, &l->id, sizeof l->id) >= 0;
        arm(d, DELAY_USEC);
}

void save_removed(Discovery *d, const Lease *l)
{
        (void) !buffer_append(&d->removed, &l->row, sizeof l->row);
        arm(d, DELAY_USEC);
}

static void save_free(Save *s)
{
        registry_batch_clear(&s->batch);
        buffer_clear(&s->leases);
        buffer_clear(&s->removed);
        free(s);
}

static void give_back(Save *s)
{
        Discovery *d = s->discovery;
        sd_id128_t id;

        (void) !buffer_append(&d->removed, buffer_peek(&s->removed), buffer_size(&s->removed));
        for (; buffer_size(&s->leases) > 0; buffer_consume(&s->leases, sizeof id)) {
                memcpy(&id, buffer_peek(&s->leases), sizeof id);
                Lease *l = book_find(d, id);
                if (l)
                        save_lease(d, l);
        }
}

static bool is_empty(const Discovery *d)
{
        return buffer_size(&d->unsaved) == 0 && buffer_size(&d->removed) == 0;
}

static void on_saved(DbOp *op, int r)
{
        Save *s = CONTAINER_OF(CONTAINER_OF(op, RegistryBatch, op), Save, batch);
        Discovery *d = s->discovery;

        d->saving = false;
        if (r < 0) {
                log_warning_errno(r, "Cannot write the registry, trying again");
                arm(d, RETRY_USEC);
                give_back(s);
        } else if (!is_empty(d))
                arm(d, DELAY_USEC);
        else {
                /* They may have been many; they will not be so soon again. */
                buffer_clear(&d->unsaved);
                buffer_clear(&d->removed);
        }
        save_free(s);
}

static int fill_removed(Save *s)
{
        Buffer *rows = &s->discovery->removed;
        uint64_t row;
        int r = 0;

        for (; buffer_size(rows) > 0 && s->batch.n < BATCH_MAX && r >= 0; buffer_consume(rows, sizeof row)) {
                memcpy(&row, buffer_peek(rows), sizeof row);
                r = registry_remove(&s->batch, row);
                if (r >= 0)
                        r = buffer_append(&s->removed, &row, sizeof row);
        }
        return r;
}

static int fill_lease(Save *s, Lease *l, Buffer *text)
{
        int r;

        l->unsaved = false;
        buffer_consume(text, buffer_size(text));
        r = lease_print(l, text);
        if (r >= 0)
                r = buffer_append(text, "}", 1);
        if (r >= 0)
                r = registry_put(&s->batch, l->row, l->id, l->token, (const char *) buffer_peek(text),
                                buffer_size(text));
        return r < 0 ? r : buffer_append(&s->leases, &l->id, sizeof l->id);
}

/* The rows that are gone first: an id may be back in a new row. */
static int fill(Save *s)
{
        Discovery *d = s->discovery;
        Buffer text = {};
        sd_id128_t id;
        int r;

        r = fill_removed(s);
        for (; buffer_size(&d->unsaved) > 0 && s->batch.n < BATCH_MAX && r >= 0;
                        buffer_consume(&d->unsaved, sizeof id)) {
                memcpy(&id, buffer_peek(&d->unsaved), sizeof id);
                Lease *l = book_find(d, id);
                if (l)
                        r = fill_lease(s, l, &text);
        }
        buffer_clear(&text);
        return r;
}

static void save_some(Discovery *d)
{
        Save *s = calloc(1, sizeof *s);

        if (!s)
                return arm(d, RETRY_USEC);
        s->discovery = d;
        registry_batch_init(&s->batch);
        if (fill(s) < 0) {
                arm(d, RETRY_USEC);
                give_back(s);
                save_free(s);
                return;
        }
        s->batch.op.done = on_saved;
        d->saving = true;
        db_submit(d->db, &s->batch.op);
}

static void on_timer(void *userdata)
{
        Discovery *d = userdata;

        if (!d->saving && !is_empty(d))
                save_some(d);
}

int save_init(Discovery *d)
{
        return timer_init(&d->save_timer, d->loop, "registry", on_timer, d);
}

void save_all(Discovery *d)
{
        size_t before, after;

        do {
                before = buffer_size(&d->unsaved) + buffer_size(&d->removed);
                if (d->db && before > 0)
                        save_some(d);
                after = buffer_size(&d->unsaved) + buffer_size(&d->removed);
        } while (after > 0 && after < before);
}

void save_clear(Discovery *d)
{
        timer_clear(&d->save_timer);
        buffer_clear(&d->unsaved);
        buffer_clear(&d->removed);
}
