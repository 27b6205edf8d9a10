/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a client has in its outbox after a start, read as "ackctl messages" reads it. One operation reads
 * everything, so what it finds was there at one moment. */

#include "runtime/timer.h"
#include "sim/caller.h"

#define AGAIN_USEC USEC_PER_SEC

typedef struct Load {
        OutboxFindOp find;
        Timer again;
        LoopWork begin; /* operations go to the disk at the end of an iteration of the loop */
        Callers *callers;
        Client *client;
} Load;

static void report(const Load *l)
{
        Process *p = l->callers->actor->process;

        for (size_t i = l->find.n_records; i-- > 0;)
                observe((Observation){.kind = OBS_LOAD,
                                .process = p,
                                .id = l->find.records[i].id,
                                .receiver = l->find.records[i].receiver,
                                .attempt = l->find.records[i].attempts,
                                .state = l->find.records[i].state});
        observe((Observation){.kind = OBS_LOADED, .process = p});
}

static void on_found(DbOp *op, int r)
{
        Load *l = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Load, find);

        if (r >= 0)
                report(l);
        outbox_records_free(l->find.records, l->find.n_records);
        if (r < 0 && !l->client->stopping) {
                (void) timer_arm_in(&l->again, AGAIN_USEC);
                return;
        }
        if (r >= 0)
                callers_loaded(l->callers);
        timer_clear(&l->again);
}

static void begin(void *userdata)
{
        Load *l = userdata;

        if (l->client->stopping) {
                timer_clear(&l->again);
                return;
        }
        outbox_find_op_init(&l->find, OUTBOX_NEWEST, INT32_MAX);
        l->find.number = UINT64_MAX;
        l->find.states = (1u << _DELIVERY_STATE_MAX) - 1;
        l->find.op.done = on_found;
        db_submit(l->client->db, &l->find.op);
}

static Load *load_new(void)
{
        HOST_SCOPE;

        return world_alloc(sizeof(Load));
}

void callers_load(Callers *s, Client *c)
{
        Load *l = load_new();

        l->callers = s;
        l->client = c;
        l->begin = (LoopWork){.run = begin, .userdata = l};
        if (timer_init(&l->again, c->loop, "load", begin, l) >= 0)
                loop_defer(c->loop, &l->begin);
}
