/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/save.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "discovery/group.h"

#define DELAY_USEC (100 * USEC_PER_MSEC)
#define RETRY_USEC USEC_PER_SEC
#define BATCH_MAX  4096u

typedef struct SaveBatch {
        RegistryBatch registry;
        Save *save;
        Buffer leases, removed; /* what it writes, in case that fails */
} SaveBatch;

static void arm(Save *s, uint64_t usec)
{
        if (!s->running && !timer_is_armed(&s->timer))
                (void) timer_arm_in(&s->timer, usec);
}

uint64_t save_new_row(Save *s)
{
        return ++s->last_row;
}

void save_row_is_used(Save *s, uint64_t row)
{
        s->last_row = MAX(s->last_row, row);
}

/* Without memory for its id, the lease is written after its next change. */
void save_lease(Save *s, Lease *l)
{
        if (!l->unsaved)
                l->unsaved = buffer_append(&s->unsaved, &l->id, sizeof l->id) >= 0;
        arm(s, DELAY_USEC);
}

void save_removed(Save *s, const Lease *l)
{
        (void) !buffer_append(&s->removed, &l->row, sizeof l->row);
        arm(s, DELAY_USEC);
}

static void batch_free(SaveBatch *b)
{
        registry_batch_clear(&b->registry);
        buffer_clear(&b->leases);
        buffer_clear(&b->removed);
        free(b);
}

/* Puts back what the batch did not write, so that it is written later. */
static void give_back(SaveBatch *b)
{
        Save *s = b->save;
        sd_id128_t id;

        (void) !buffer_append(&s->removed, buffer_peek(&b->removed), buffer_size(&b->removed));
        for (; buffer_size(&b->leases) > 0; buffer_consume(&b->leases, sizeof id)) {
                memcpy(&id, buffer_peek(&b->leases), sizeof id);
                Lease *l = lease_index_find(s->index, id);
                if (l)
                        save_lease(s, l);
        }
}

static size_t size_left(const Save *s)
{
        return buffer_size(&s->unsaved) + buffer_size(&s->removed);
}

static void on_saved(DbOp *op, int r)
{
        SaveBatch *b = CONTAINER_OF(CONTAINER_OF(op, RegistryBatch, op), SaveBatch, registry);
        Save *s = b->save;

        s->running = false;
        if (r < 0) {
                log_warning_errno(r, "Cannot write the registry, trying again");
                arm(s, RETRY_USEC);
                give_back(b);
        } else if (size_left(s) > 0)
                arm(s, DELAY_USEC);
        else {
                /* After a burst of changes the buffers are large; the next changes will hardly need so much
                 * memory. */
                buffer_clear(&s->unsaved);
                buffer_clear(&s->removed);
        }
        batch_free(b);
}

static int fill_removed(SaveBatch *b)
{
        Buffer *rows = &b->save->removed;
        uint64_t row;
        int r = 0;

        for (; buffer_size(rows) > 0 && b->registry.n < BATCH_MAX && r >= 0;
                        buffer_consume(rows, sizeof row)) {
                memcpy(&row, buffer_peek(rows), sizeof row);
                r = registry_remove(&b->registry, row);
                if (r >= 0)
                        r = buffer_append(&b->removed, &row, sizeof row);
        }
        return r;
}

static int fill_lease(SaveBatch *b, Lease *l, Buffer *text)
{
        int r;

        l->unsaved = false;
        buffer_consume(text, buffer_size(text));
        r = lease_print(l, l->group->name, text);
        if (r >= 0)
                r = buffer_append(text, "}", 1);
        if (r >= 0)
                r = registry_put(&b->registry, l->row, l->id, l->token, (const char *) buffer_peek(text),
                                buffer_size(text));
        return r < 0 ? r : buffer_append(&b->leases, &l->id, sizeof l->id);
}

/* Removals go first: an id that left may be back in a new row. */
static int fill(SaveBatch *b)
{
        Buffer *ids = &b->save->unsaved, text = {};
        sd_id128_t id;
        int r;

        r = fill_removed(b);
        for (; buffer_size(ids) > 0 && b->registry.n < BATCH_MAX && r >= 0; buffer_consume(ids, sizeof id)) {
                memcpy(&id, buffer_peek(ids), sizeof id);
                Lease *l = lease_index_find(b->save->index, id);
                if (l)
                        r = fill_lease(b, l, &text);
        }
        buffer_clear(&text);
        return r;
}

static void submit_batch(Save *s)
{
        SaveBatch *b = calloc(1, sizeof *b);

        if (!b)
                return arm(s, RETRY_USEC);
        b->save = s;
        registry_batch_init(&b->registry);
        if (fill(b) < 0) {
                arm(s, RETRY_USEC);
                give_back(b);
                batch_free(b);
                return;
        }
        b->registry.op.done = on_saved;
        s->running = true;
        db_submit(s->db, &b->registry.op);
}

static void on_timer(void *userdata)
{
        Save *s = userdata;

        if (!s->running && size_left(s) > 0)
                submit_batch(s);
}

int save_init(Save *s, Loop *loop, Db *db, const LeaseIndex *index)
{
        s->db = db;
        s->index = index;
        return timer_init(&s->timer, loop, "registry", on_timer, s);
}

void save_all(Save *s)
{
        size_t before, after;

        do {
                before = size_left(s);
                if (before > 0)
                        submit_batch(s);
                after = size_left(s);
        } while (after > 0 && after < before);
}

void save_clear(Save *s)
{
        timer_clear(&s->timer);
        buffer_clear(&s->unsaved);
        buffer_clear(&s->removed);
}
