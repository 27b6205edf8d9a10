/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/backlog.h"
#include "client/engine/bind.h"
#include "client/state/message.h"

/* Bytes. Each member gets a copy of a payload up to this size. Members read a larger one from disk, one
 * after the other. */
#define COPIED_MAX 4096u

typedef struct MembersPage {
        OutboxFindOp find;
        Message *message;  /* pinned */
        Message **members; /* pinned; NULL: this one cannot be read */
        const MemberWalk *walk;
        RetryItem retry;
        struct MembersPage *prev, *next;
} MembersPage;

static void page_clear(MembersPage *p)
{
        outbox_records_free(p->find.records, p->find.n_records);
        p->find.records = NULL;
        p->find.n_records = 0;
        free(p->members);
        p->members = NULL;
}

static void page_free(MembersPage *p)
{
        DL_DELETE(p->message->client->fanouts.pages, p);
        page_clear(p);
        free(p);
}

static void unpin(MembersPage *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (p->members[i])
                        message_unpin(p->members[i]);
}

/* Brings all members into memory. A member that is left out would never start, or never end. */
static int load(MembersPage *p)
{
        Client *c = p->message->client;

        p->members = calloc(p->find.n_records + 1, sizeof(Message *));
        if (!p->members)
                return -ENOMEM;
        for (size_t i = 0; i < p->find.n_records; i++) {
                OutboxRecord *record = p->find.records + i;
                Message *member = message_find_member(c, record->id, record->member);
                int r = member ? 0 : message_new(c, record, &member);

                if (r == -ENOMEM) {
                        unpin(p, i);
                        return r;
                }
                if (r < 0)
                        continue;
                message_pin(member);
                p->members[i] = member;
        }
        return 0;
}

static void walk(MembersPage *p)
{
        Message *m = p->message;
        const MemberWalk *w = p->walk;

        if (w->begin)
                w->begin(m);
        for (size_t i = 0; i < p->find.n_records; i++)
                if (p->members[i])
                        w->each(p->members[i]);
        unpin(p, p->find.n_records);
        if (w->end)
                w->end(m, p->find.n_records);
}

static void read_page(RetryItem *i);

static void on_page(DbOp *op, int r)
{
        MembersPage *p = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), MembersPage, find);
        Message *m = p->message;

        if (r >= 0)
                r = load(p);
        if (r < 0) {
                log_error_errno(r, "Cannot read the members of a message from the outbox, trying again");
                page_clear(p);
                retry_soon(&m->client->retries, &p->retry, read_page);
                return;
        }
        m->fanout->reading = false;
        crash_point("members-before-change");
        walk(p);
        page_free(p);
        message_unpin(m);
}

static void read_page(RetryItem *i)
{
        MembersPage *p = CONTAINER_OF(i, MembersPage, retry);

        outbox_find_op_init(&p->find, OUTBOX_MEMBERS, MEMBERS_MAX);
        p->find.number = p->message->record.number;
        p->find.op.done = on_page;
        db_submit(p->message->client->db, &p->find.op);
}

static void walk_again(RetryItem *i)
{
        Fanout *f = CONTAINER_OF(i, Fanout, retry);
        Message *m = f->message;

        members_walk(m, f->missed);
        message_unpin(m);
}

/* There is no memory now. The newest request counts. */
static void walk_later(Message *m, const MemberWalk *w)
{
        Fanout *f = m->fanout;

        f->missed = w;
        if (retry_is_waiting(&f->retry))
                return;
        message_pin(m);
        retry_soon(&m->client->retries, &f->retry, walk_again);
}

void members_walk(Message *m, const MemberWalk *w)
{
        MembersPage *p = calloc(1, sizeof *p);

        if (!p) {
                walk_later(m, w);
                return;
        }
        p->message = m;
        p->walk = w;
        DL_APPEND(m->client->fanouts.pages, p);
        m->fanout->reading = true;
        message_pin(m);
        read_page(&p->retry);
}

void members_clear(Client *c)
{
        while (c->fanouts.pages)
                page_free(c->fanouts.pages);
}

int member_make(const Message *m, const ReceiverInfo *info, size_t number, OutboxRecord *ret)
{
        const Selector to = {.mode = SELECTOR_TO, .receiver = info->id};

        *ret = (OutboxRecord){
                        .number = m->record.number,
                        .member = (uint32_t) number,
                        .id = m->record.id,
                        .size = m->record.size,
                        .accepted_usec = m->record.accepted_usec,
                        .state = m->record.state == DELIVERY_DELAYED ? DELIVERY_DELAYED : DELIVERY_QUEUED,
                        .policy = m->record.policy,
                        .quiet = m->record.quiet,
                        .duplicate = m->record.duplicate, /* it may be a member that the disk has lost */
                        .queue = selector_format(&to),
        };
        (void) snprintf(ret->receiver_name, sizeof ret->receiver_name, "%s", info->name);
        return ret->queue && str_replace(&ret->target, m->record.target) >= 0 ? 0 : -ENOMEM;
}

static int add_record(const Message *m, const ReceiverInfo *info, OutboxRecord **records, size_t *n)
{
        OutboxRecord *longer;

        if (*n >= MEMBERS_MAX)
                return -E2BIG;
        longer = reallocarray(*records, *n + 1, sizeof **records);
        if (!longer)
                return -ENOMEM;
        *records = longer;
        (*n)++;
        return member_make(m, info, *n, longer + *n - 1);
}

int members_choose(Message *m, OutboxRecord **ret, size_t *ret_n, Error *error)
{
        const Selector *selector = &m->queue->selector;
        Client *c = m->client;
        OutboxRecord *records = NULL;
        size_t n = 0;
        int r = 0;

        for (const Peer *p = c->peers.by_name; p && r >= 0; p = p->hh_name.next)
                if (selector_matches(selector, &p->info))
                        r = add_record(m, &p->info, &records, &n);
        if (r == -E2BIG)
                r = error_set(error, -EINVAL, "More than %u receivers match", MEMBERS_MAX);
        else if (r >= 0 && n == 0 && c->discovery_state != DISCOVERY_REACHABLE)
                r = error_set(error, -ENOENT,
                                "Discovery does not answer, so the receivers of the group are not known");
        else if (r >= 0 && n == 0)
                r = error_set(error, -ENOENT, "No receiver matches");
        else if (r >= 0 && n < selector->quorum)
                r = error_set(error, -ENOENT, "Only %zu receivers match, but %u must ack", n,
                                selector->quorum);
        if (r < 0) {
                outbox_records_free(records, n);
                return r;
        }
        *ret = records;
        *ret_n = n;
        return 0;
}

void member_add(Message *m, OutboxRecord *record)
{
        Message *member;
        int r = message_new(m->client, record, &member);

        if (r == -ENOMEM) {
                /* Without this member the message would never end. The next start reads it from disk. */
                log_error("No memory for a receiver of a message: ending");
                loop_exit(m->client->loop, EXIT_FAILURE);
        }
        if (r < 0)
                return;
        if (member->record.state != DELIVERY_QUEUED) {
                message_release(member);
                return;
        }
        if (m->payload && m->record.size <= COPIED_MAX)
                (void) !message_keep_payload(member, m->payload);
        backlog_add(member->queue, member);
        bind_queue(member->queue);
}
