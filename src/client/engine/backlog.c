/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/backlog.h"

#include <utlist.h>

#include "base/log.h"
#include "client/state/message.h"

#define FRONT_MAX  1024u /* messages of one queue in memory */
#define PAGE       256u
#define FRONTS_MAX 4096u /* queued messages of all queues that keep their payloads in memory */

static Position position_of(const OutboxRecord *record)
{
        return (Position){record->policy.priority, record->number};
}

static Position position_of_last(const Queue *q)
{
        return position_of(&q->queued->queued.prev->record);
}

static bool is_before(Position a, Position b)
{
        return a.priority != b.priority ? a.priority > b.priority : a.number < b.number;
}

/* The last message that is at least so urgent; NULL: none. */
static Message *last_of(const Queue *q, unsigned priority)
{
        while (priority < PRIORITY_MAX && !q->last[priority])
                priority++;
        return q->last[priority];
}

static Message *previous_of(const Queue *q, const Message *m)
{
        return m == q->queued ? NULL : m->queued.prev;
}

/* The message behind which this one goes, by priority, then by age; NULL: it is the first. A new message is
 * the last of its priority, and one that comes back is near the first: searches from both ends. */
static Message *find_place(const Queue *q, const OutboxRecord *record)
{
        const Position own = position_of(record);
        Message *back = last_of(q, own.priority), *ahead, *front;

        if (!back || !is_before(own, position_of(&back->record)))
                return back;
        ahead = own.priority < PRIORITY_MAX ? last_of(q, own.priority + 1) : NULL;
        front = ahead ? ahead->queued.next : q->queued;
        while (!is_before(own, position_of(&front->record)) && is_before(own, position_of(&back->record))) {
                front = front->queued.next;
                back = previous_of(q, back);
        }
        return is_before(own, position_of(&front->record)) ? previous_of(q, front) : back;
}

static void enter(Queue *q, Message *m)
{
        const unsigned priority = m->record.policy.priority;
        Message *before = find_place(q, &m->record);

        m->queued.on = true;
        if (before)
                DL_APPEND_ELEM2(q->queued, before, m, queued.prev, queued.next);
        else
                DL_PREPEND2(q->queued, m, queued.prev, queued.next);
        if (!q->last[priority] || before == q->last[priority])
                q->last[priority] = m;
        q->n_queued++;
        q->client->queues.n_unassigned++;
}

static void leave(Queue *q, Message *m)
{
        const unsigned priority = m->record.policy.priority;
        Message *before = previous_of(q, m);

        if (q->last[priority] == m)
                q->last[priority] = before && before->record.policy.priority == priority ? before : NULL;
        m->queued.on = false;
        DL_DELETE2(q->queued, m, queued.prev, queued.next);
        q->n_queued--;
        q->client->queues.n_unassigned--;
}

/* Removes the last message of a front that is too long. It stays on disk. */
static void shorten(Queue *q)
{
        Message *last = q->queued->queued.prev;

        if (q->n_queued <= FRONT_MAX || q->reading || last->save.running ||
                        retry_is_waiting(&last->save.retry) || last->transient)
                return;
        leave(q, last);
        q->n_stored++;
        q->read_to = position_of_last(q);
        message_drop_payload(last);
        message_release(last);
}

void backlog_load(Queue *q, uint64_t n)
{
        q->n_stored = n;
}

void backlog_add(Queue *q, Message *m)
{
        Position own = position_of(&m->record);

        if (q->n_stored == 0 && q->queued)
                q->read_to = position_of_last(q);
        if (!m->transient && is_before(q->read_to, own) && (q->n_stored > 0 || q->n_queued >= FRONT_MAX)) {
                message_drop_payload(m);
                q->n_stored++;
                return;
        }
        enter(q, m);
        /* Many queues, such as one for each key, must not keep many payloads in memory together. */
        if (q->client->queues.n_unassigned > FRONTS_MAX && !m->transient)
                message_drop_payload(m);
        if (q->n_stored == 0)
                q->read_to = position_of_last(q);
        shorten(q);
}

void backlog_give_back(Queue *q, Message *m)
{
        if (q->n_stored == 0 && !q->queued)
                q->read_to = position_of(&m->record);
        enter(q, m);
}

void backlog_take(Queue *q, Message *m)
{
        if (m->queued.on)
                leave(q, m);
        else
                q->n_stored--;
}

typedef struct Page {
        OutboxFindOp find;
        Queue *queue;
} Page;

static void read_again(RetryItem *i)
{
        Queue *q = CONTAINER_OF(i, Queue, retry);

        q->on_read(q);
}

static int take_row(Queue *q, OutboxRecord *record)
{
        const Position own = position_of(record);
        Message *m = message_find_member(q->client, record->id, record->member);
        bool known = m;
        int r = known ? 0 : message_new(q->client, record, &m);

        if (r < 0)
                return r;
        q->read_to = own;
        if (known && (m->queued.on || m->link.peer || m->record.state != DELIVERY_QUEUED))
                return 0;
        q->n_stored--;
        enter(q, m);
        return 0;
}

static void on_page(DbOp *op, int r)
{
        Page *p = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Page, find);
        Queue *q = p->queue;
        Retries *retries = &q->client->retries;
        /* Ignore the rows of a failed read: its transaction was rolled back. */
        size_t n = r >= 0 ? p->find.n_records : 0;

        q->reading = false;
        retry_cancel(retries, &q->retry);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = take_row(q, p->find.records + i);
        if (r < 0) {
                log_error_errno(r, "Cannot read waiting messages from the outbox, trying again");
                retry_soon(retries, &q->retry, read_again);
        }
        outbox_records_free(p->find.records, p->find.n_records);
        free(p);
        if (n > 0 && r >= 0)
                q->on_read(q);
}

void backlog_read_on(Queue *q, void (*done)(Queue *q))
{
        if (q->reading || q->client->stopping || q->n_stored == 0 || q->n_queued >= PAGE / 2)
                return;
        q->on_read = done;
        Page *p = calloc(1, sizeof *p);
        if (!p) {
                retry_soon(&q->client->retries, &q->retry, read_again);
                return;
        }
        outbox_find_op_init(&p->find, OUTBOX_QUEUE, PAGE);
        p->queue = q;
        p->find.queue = q->text;
        p->find.number = q->read_to.number;
        p->find.priority = q->read_to.priority;
        p->find.op.done = on_page;
        q->reading = true;
        db_submit(q->client->db, &p->find.op);
}
