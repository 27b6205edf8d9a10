/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/queue.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"

#define UNUSED_MAX 64u

Queue *queue_of_receiver(Client *c, sd_id128_t receiver)
{
        Queue *q;

        HASH_FIND(hh_receiver, c->queues.by_receiver, &receiver, sizeof receiver, q);
        return q;
}

Queue *queue_of_holder(const Peer *p)
{
        Queue *q = NULL;

        if (p->listed || p->remembered)
                HASH_FIND(hh_receiver, p->client->queues.by_name, p->info.name, strlen(p->info.name), q);
        return q;
}

bool queue_is_waiting(const Queue *q)
{
        return q->queued || q->n_stored > 0;
}

static Queue **waiting_list(const Queue *q)
{
        return q->waits_at ? &q->waits_at->keys : &q->client->queues.stuck;
}

void queue_wait_at(Queue *q, Peer *p)
{
        if (q->waits && q->waits_at == p)
                return;
        queue_wait_no_more(q);
        q->waits = true;
        q->waits_at = p;
        DL_APPEND2(*waiting_list(q), q, waits_prev, waits_next);
}

void queue_wait_first(Queue *q, Peer *p)
{
        queue_wait_no_more(q);
        q->waits = true;
        q->waits_at = p;
        DL_PREPEND2(*waiting_list(q), q, waits_prev, waits_next);
}

void queue_wait_no_more(Queue *q)
{
        if (!q->waits)
                return;
        DL_DELETE2(*waiting_list(q), q, waits_prev, waits_next);
        q->waits = false;
        q->waits_at = NULL;
}

static void queue_free(Queue *q)
{
        Client *c = q->client;

        if (q->selector.name)
                HASH_DELETE(hh_receiver, c->queues.by_name, q);
        else if (q->selector.mode == SELECTOR_TO)
                HASH_DELETE(hh_receiver, c->queues.by_receiver, q);
        if (q->selector.mode == SELECTOR_ANY)
                DL_DELETE(c->queues.any, q);
        queue_wait_no_more(q);
        retry_cancel(&c->retries, &q->retry);
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
        Queue *q;
        int r;

        HASH_FIND(hh, c->queues.by_text, text, strlen(text), q);
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
        else if (q->selector.name)
                HASH_ADD_KEYPTR(hh_receiver, c->queues.by_name, q->selector.name, strlen(q->selector.name),
                                q);
        else if (q->selector.mode == SELECTOR_TO)
                HASH_ADD(hh_receiver, c->queues.by_receiver, selector.receiver, sizeof q->selector.receiver,
                                q);
        *ret = q;
        return 0;
}

void queues_clear(Client *c)
{
        Queue *q, *next;

        HASH_ITER(hh, c->queues.by_text, q, next)
                queue_free(q);
}
