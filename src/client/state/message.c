/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/message.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/state/queue.h"
#include "client/state/transient.h"

#define PAYLOAD_KEEP 4096u

static int add_fanout(Message *m)
{
        m->fanout = calloc(1, sizeof *m->fanout);
        if (!m->fanout)
                return -ENOMEM;
        m->fanout->message = m;
        if (m->queue)
                m->fanout->need = m->queue->selector.quorum;
        return 0;
}

int message_new(Client *c, OutboxRecord *record, Message **ret)
{
        Queue *queue = NULL;
        int r;

        if (!delivery_state_is_final(record->state)) {
                r = queue_get(c, record->queue, &queue);
                if (r < 0)
                        return r;
        }
        Message *m = slab_zero(&c->slab, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->client = c;
        m->queue = queue;
        if (queue)
                queue->n_messages++;
        m->record = *record;
        m->save.state = record->state;
        heap_item_init(&m->due);
        r = selector_mode_is_fanout(selector_text_mode(record->queue)) ? add_fanout(m) : 0;
        if (r >= 0)
                r = heap_reserve(&c->due.heap, c->messages.index.n_items + 1);
        if (r >= 0)
                r = index_add(&c->messages.index, &m->by_key, message_hash(record->id, record->member));
        if (r < 0) {
                message_leave_queue(m);
                free(m->fanout);
                slab_free(&c->slab, m, sizeof *m);
                return r;
        }
        *record = (OutboxRecord){};
        *ret = m;
        return 0;
}

uint32_t message_hash(sd_id128_t id, uint64_t member)
{
        uint32_t random; /* message ids are random, so a part of the id is a good hash */

        memcpy(&random, id.bytes, sizeof random);
        return random + (uint32_t) member * UINT32_C(0x9e3779b9);
}

Message *message_find_member(Client *c, sd_id128_t id, uint32_t member)
{
        IndexItem *i = index_first(&c->messages.index, message_hash(id, member));

        for (; i; i = index_next(i)) {
                Message *m = CONTAINER_OF(i, Message, by_key);
                if (sd_id128_equal(m->record.id, id) && m->record.member == member)
                        return m;
        }
        return NULL;
}

Message *message_find(Client *c, sd_id128_t id)
{
        return message_find_member(c, id, 0);
}

bool message_is_member(const Message *m)
{
        return m->record.member > 0;
}

int message_keep_payload(Message *m, const void *data)
{
        void *copy = slab_block_new(&m->client->slab, m->record.size);

        if (!copy)
                return -ENOMEM;
        if (m->record.size > 0)
                memcpy(copy, data, m->record.size);
        message_drop_payload(m);
        m->payload = copy;
        return 0;
}

void message_drop_payload(Message *m)
{
        slab_block_free(&m->client->slab, m->payload);
        m->payload = NULL;
}

void message_drop_large_payload(Message *m)
{
        bool wanted = m->record.state == DELIVERY_SENT || (m->link.peer && m->link.peer->plain == m);

        if (wanted || m->transient || m->record.size <= PAYLOAD_KEEP)
                return;
        message_drop_payload(m);
}

void message_leave_queue(Message *m)
{
        if (m->queue)
                m->queue->n_messages--;
        m->queue = NULL;
}

int message_enter_queue(Message *m)
{
        int r = m->queue ? 0 : queue_get(m->client, m->record.queue, &m->queue);

        if (r >= 0)
                m->queue->n_messages++;
        return r;
}

Policy message_policy(const Message *m)
{
        return policy_resolve(&m->record.policy, &m->client->config.policy);
}

static void message_free(Message *m)
{
        Client *c = m->client;

        index_remove(&c->messages.index, &m->by_key);
        transient_leave(m);
        heap_remove(&c->due.heap, &m->due);
        message_leave_queue(m);
        free(m->fanout);
        message_drop_payload(m);
        outbox_record_clear(&m->record);
        outbox_attempts_free(m->attempts);
        free(m->progress);
        slab_free(&c->slab, m, sizeof *m);
}

void message_release(Message *m)
{
        Client *c = m->client;

        if (m->queued.on || m->link.peer || m->save.running || retry_is_waiting(&m->save.retry) ||
                        m->fetching || m->pins > 0 || m->recent || m->bulk.program)
                return;
        if (m->announced) {
                m->announced = false;
                c->observer.message_removed(m, c->observer.userdata);
        }
        message_free(m);
}

void message_announce(Message *m)
{
        Client *c = m->client;

        if (message_is_member(m))
                return;
        if (!m->announced) {
                m->announced = true;
                c->observer.message_added(m, c->observer.userdata);
        }
        if (m->recent)
                return;
        m->recent = true;
        DL_APPEND2(c->messages.recent, m, recent_prev, recent_next);
        if (++c->messages.n_recent <= RECENT_MAX)
                return;
        Message *oldest = c->messages.recent;
        DL_DELETE2(c->messages.recent, oldest, recent_prev, recent_next);
        oldest->recent = false;
        c->messages.n_recent--;
        message_release(oldest);
}

void message_forget(Message *m)
{
        Client *c = m->client;

        if (m->recent) {
                DL_DELETE2(c->messages.recent, m, recent_prev, recent_next);
                m->recent = false;
                c->messages.n_recent--;
        }
        message_release(m);
}

void message_pin(Message *m)
{
        m->pins++;
}

void message_unpin(Message *m)
{
        m->pins--;
        message_release(m);
}

void message_changed(Message *m)
{
        if (m->announced)
                m->client->observer.message_changed(m, m->client->observer.userdata);
}

void messages_clear(Client *c)
{
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&c->messages.index, &cursor)))
                message_free(CONTAINER_OF(i, Message, by_key));
        index_clear(&c->messages.index);
        c->fanouts.following = NULL;
}
