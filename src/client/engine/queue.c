/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/queue.h"

#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/bind.h"
#include "client/engine/deliver.h"
#include "client/engine/save.h"
#include "client/state/message.h"

#define FRONT_MAX  1024u /* messages of one queue in memory */
#define PAGE       256u
#define FRONTS_MAX 4096u /* waiting messages of all queues that keep their payloads in memory */
#define UNUSED_MAX 64u

static Queue *find(Client *c, const char *text)
{
        Queue *q;

        HASH_FIND(hh, c->queues.by_text, text, strlen(text), q);
        return q;
}

Queue *queue_of_receiver(Client *c, sd_id128_t receiver)
{
        Selector selector = {.mode = SELECTOR_TO, .receiver = receiver};
        _cleanup_free_ char *text = selector_format(&selector);

        return text ? find(c, text) : NULL;
}

static void queue_free(Queue *q)
{
        Client *c = q->client;
        Peer *p = q->selector.mode == SELECTOR_TO ? peer_find(c, q->selector.receiver) : NULL;

        if (p)
                p->queue = NULL;
        if (q->selector.mode == SELECTOR_ANY)
                DL_DELETE(c->queues.any, q);
        if (q->stuck)
                DL_DELETE(c->queues.stuck, q);
        HASH_DELETE(hh, c->queues.by_text, q);
        selector_clear(&q->selector);
        free(q->text);
        free(q);
}

static void drop_unused(Client *c)
{
        Queue *q, *next;

        HASH_ITER(hh, c->queues.by_text, q, next)
                if (q->n_messages == 0 && q->n_stored == 0 && !q->reading)
                        queue_free(q);
}

int queue_get(Client *c, const char *text, Queue **ret)
{
        Queue *q = find(c, text);
        Peer *p;
        int r;

        if (q) {
                *ret = q;
                return 0;
        }
        if (HASH_COUNT(c->queues.by_text) >= c->queues.n_swept) {
                drop_unused(c);
                c->queues.n_swept = MAX(2 * HASH_COUNT(c->queues.by_text), UNUSED_MAX);
        }
        q = calloc(1, sizeof *q);
        if (!q)
                return -ENOMEM;
        q->client = c;
        q->read_to = (Position){PRIORITY_MAX + 1, 0};
        r = str_replace(&q->text, text);
        if (r >= 0)
                r = selector_parse(text, &q->selector);
        if (r < 0) {
                free(q->text);
                free(q);
                return r;
        }
        HASH_ADD_KEYPTR(hh, c->queues.by_text, q->text, strlen(q->text), q);
        if (q->selector.mode == SELECTOR_ANY)
                DL_APPEND(c->queues.any, q);
        else if (q->selector.mode == SELECTOR_TO && (p = peer_find(c, q->selector.receiver)))
                p->queue = q;
        *ret = q;
        return 0;
}

static Position position_of(const OutboxRecord *record)
{
        return (Position){record->policy.priority, record->number};
}

static bool is_before(Position a, Position b)
{
        return a.priority != b.priority ? a.priority > b.priority : a.number < b.number;
}

/* To its place: the more urgent ones first, the older ones among equals. Searched from the end, where most
 * go. */
static void link_waiting(Queue *q, Message *m)
{
        Position own = position_of(&m->record);
        Message *last = q->queued ? q->queued->queued.prev : NULL;

        while (last && is_before(own, position_of(&last->record)))
                last = last == q->queued ? NULL : last->queued.prev;
        m->queued.on = true;
        if (last)
                DL_APPEND_ELEM2(q->queued, last, m, queued.prev, queued.next);
        else
                DL_PREPEND2(q->queued, m, queued.prev, queued.next);
        q->n_queued++;
        q->client->queues.n_unassigned++;
}

static void unlink_waiting(Queue *q, Message *m)
{
        m->queued.on = false;
        DL_DELETE2(q->queued, m, queued.prev, queued.next);
        q->n_queued--;
        q->client->queues.n_unassigned--;
}

/* The end of a front that has become too long is left to the disk again. */
static void shorten(Queue *q)
{
        Message *last = q->queued->queued.prev;

        if (q->n_queued <= FRONT_MAX || q->reading || last->save.running || last->save.refused ||
                        last->transient)
                return;
        unlink_waiting(q, last);
        q->n_stored++;
        q->read_to = position_of(&q->queued->queued.prev->record);
        message_drop_payload(last);
        message_release(last);
}

void queue_add(Queue *q, Message *m)
{
        Position own = position_of(&m->record);

        if (q->n_stored == 0 && q->queued)
                q->read_to = position_of(&q->queued->queued.prev->record);
        if (!m->transient && is_before(q->read_to, own) && (q->n_stored > 0 || q->n_queued >= FRONT_MAX)) {
                message_drop_payload(m);
                q->n_stored++;
                return;
        }
        link_waiting(q, m);
        /* Of many queues, as each key has one. */
        if (q->client->queues.n_unassigned > FRONTS_MAX && !m->transient)
                message_drop_payload(m);
        if (q->n_stored == 0)
                q->read_to = position_of(&q->queued->queued.prev->record);
        shorten(q);
}

void queue_give_back(Queue *q, Message *m)
{
        if (q->n_stored == 0 && !q->queued)
                q->read_to = position_of(&m->record);
        link_waiting(q, m);
}

void queue_take(Queue *q, Message *m)
{
        if (!m->queued.on) {
                q->n_stored--;
                return;
        }
        unlink_waiting(q, m);
}

typedef struct Page {
        OutboxFindOp find;
        Queue *queue;
} Page;

static void take_row(Queue *q, OutboxRecord *record)
{
        Message *m = message_find_member(q->client, record->id, record->member);

        q->read_to = position_of(record);
        if (!m) {
                if (message_new(q->client, record, &m) < 0)
                        return; /* stays counted: read again at the next start */
        } else if (m->queued.on || m->link.peer || m->record.state != DELIVERY_QUEUED)
                return;
        q->n_stored--;
        link_waiting(q, m);
}

static void on_page(DbOp *op, int r)
{
        Page *p = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Page, find);
        Queue *q = p->queue;

        /* Rows of a read that failed may be of what was taken back with it. */
        size_t n = r >= 0 ? p->find.n_records : 0;

        q->reading = false;
        q->unread = r < 0;
        if (r < 0) {
                log_error_errno(r, "Cannot read waiting messages from the outbox, trying again");
                saves_again_soon(q->client);
        }
        for (size_t i = 0; i < n; i++)
                take_row(q, p->find.records + i);
        bool more = n > 0;
        outbox_records_free(p->find.records, p->find.n_records);
        free(p);
        if (more)
                bind_queue(q);
}

void queue_read_on(Queue *q)
{
        if (q->reading || q->client->stopping || q->n_stored == 0 || q->n_queued >= PAGE / 2)
                return;
        Page *p = calloc(1, sizeof *p);
        if (!p)
                return;
        outbox_find_op_init(&p->find, OUTBOX_QUEUE, PAGE);
        p->queue = q;
        p->find.queue = q->text;
        p->find.number = q->read_to.number;
        p->find.priority = q->read_to.priority;
        p->find.op.done = on_page;
        q->reading = true;
        db_submit(q->client->db, &p->find.op);
}

void queues_read_again(Client *c)
{
        Queue *q, *next;

        HASH_ITER(hh, c->queues.by_text, q, next) {
                if (q->unread)
                        bind_queue(q);
        }
}

void queues_clear(Client *c)
{
        Queue *q, *next;

        HASH_ITER(hh, c->queues.by_text, q, next)
                queue_free(q);
}
