/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/fanout.h"

#include <errno.h>
#include <stdio.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/bind.h"
#include "client/engine/deliver.h"
#include "client/engine/queue.h"
#include "client/engine/save.h"

typedef struct MembersPage Page;

#define COPIED_MAX                                                                                          \
        4096u /* bytes of payload that each member gets in memory; more is read from disk by turns */

int fanout_new(Message *m)
{
        Fanout *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->message = m;
        if (m->queue)
                w->need = m->queue->selector.quorum;
        m->fanout = w;
        return 0;
}

/* An open whole is in memory: the ends of its members are counted there. */
static void hold(Fanout *w, bool on)
{
        Message *m = w->message;
        Client *c = m->client;

        if (w->held == on)
                return;
        w->held = on;
        if (on)
                message_pin(m);
        if (on && m->queue->selector.follow)
                DL_APPEND(c->fanouts.following, w);
        if (on)
                return;
        if (w->prev) {
                DL_DELETE(c->fanouts.following, w);
                w->prev = NULL;
        }
        message_unpin(m);
}

void fanout_free(Fanout *w)
{
        if (w && w->prev)
                DL_DELETE(w->message->client->fanouts.following, w);
        free(w);
}

static void show_count(Fanout *w)
{
        OutboxRecord *record = &w->message->record;

        (void) snprintf(record->receiver_name, sizeof record->receiver_name, "%u of %u", w->n_acked,
                        w->n_members);
}

static bool is_all(const Fanout *w)
{
        return selector_text_mode(w->message->record.queue) == SELECTOR_ALL;
}

static unsigned needed(const Fanout *w)
{
        return is_all(w) ? w->n_members : w->need;
}

/* What is done with the members when they are in memory. */
typedef struct MemberWalk {
        void (*begin)(Message *m); /* may be NULL, as may `end` */
        void (*each)(Message *member);
        void (*end)(Message *m, size_t n);
} MemberWalk;

struct MembersPage {
        OutboxFindOp find;
        Message *message; /* pinned */
        const MemberWalk *walk;
        Page *prev, *next; /* of those that could not be read */
};

static void on_members(DbOp *op, int r)
{
        Page *p = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Page, find);
        Message *m = p->message;
        Client *c = m->client;

        if (r < 0) {
                log_error_errno(r, "Cannot read the members of a message from the outbox, trying again");
                outbox_records_free(p->find.records, p->find.n_records);
                DL_APPEND(c->fanouts.unread, p);
                saves_again_soon(c);
                return;
        }
        m->fanout->reading = false;
        crash_point("members-before-change");
        if (p->walk->begin)
                p->walk->begin(m);
        for (size_t i = 0; i < p->find.n_records; i++) {
                OutboxRecord *record = p->find.records + i;
                Message *member = message_find_member(c, record->id, record->member);

                if (!member && message_new(c, record, &member) < 0)
                        continue;
                message_pin(member);
                p->walk->each(member);
                message_unpin(member);
        }
        if (p->walk->end)
                p->walk->end(m, p->find.n_records);
        outbox_records_free(p->find.records, p->find.n_records);
        free(p);
        message_unpin(m);
}

static void read_members(Page *p)
{
        outbox_find_op_init(&p->find, OUTBOX_MEMBERS, MEMBERS_MAX);
        p->find.number = p->message->record.number;
        p->find.op.done = on_members;
        db_submit(p->message->client->db, &p->find.op);
}

static void for_each_member(Message *m, const MemberWalk *walk)
{
        Page *p = calloc(1, sizeof *p);

        if (!p)
                return;
        p->message = m;
        p->walk = walk;
        m->fanout->reading = true;
        message_pin(m);
        read_members(p);
}

void fanouts_read_again(Client *c)
{
        Page *p, *next;

        DL_FOREACH_SAFE(c->fanouts.unread, p, next) {
                DL_DELETE(c->fanouts.unread, p);
                read_members(p);
        }
}

void fanouts_clear(Client *c)
{
        Page *p, *next;

        DL_FOREACH_SAFE(c->fanouts.unread, p, next)
                free(p);
        c->fanouts.unread = NULL;
}

/* Acceptance. */

static int make_member(const Message *m, const ReceiverInfo *info, size_t number, OutboxRecord *ret)
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
                        .queue = selector_format(&to),
        };
        (void) snprintf(ret->receiver_name, sizeof ret->receiver_name, "%s", info->name);
        return ret->queue && str_replace(&ret->target, m->record.target) >= 0 ? 0 : -ENOMEM;
}

int fanout_choose(Message *m, OutboxRecord **ret, size_t *ret_n, Error *error)
{
        const Selector *selector = &m->queue->selector;
        Client *c = m->client;
        OutboxRecord *records = NULL;
        size_t n = 0;
        int r = 0;

        for (const Peer *p = c->peers.by_name; p && r >= 0; p = p->hh_name.next) {
                if (!selector_matches(selector, &p->info))
                        continue;
                OutboxRecord *longer =
                                n < MEMBERS_MAX ? reallocarray(records, n + 1, sizeof *records) : NULL;
                r = n >= MEMBERS_MAX ? -E2BIG : longer ? 0 : -ENOMEM;
                if (r < 0)
                        break;
                records = longer;
                r = make_member(m, &p->info, n + 1, records + n);
                n++;
        }
        if (r == -E2BIG)
                r = error_set(error, -EINVAL, "More than %u receivers are meant", MEMBERS_MAX);
        else if (r >= 0 && n == 0 && c->discovery_state != DISCOVERY_REACHABLE)
                r = error_set(error, -ENOENT,
                                "Discovery does not answer, so nobody can say who is in the group");
        else if (r >= 0 && n == 0)
                r = error_set(error, -ENOENT, "No receiver of that kind is there");
        else if (r >= 0 && n < selector->quorum)
                r = error_set(error, -ENOENT,
                                "Only %zu receivers are there, fewer than the %u that must ack", n,
                                selector->quorum);
        if (r < 0) {
                outbox_records_free(records, n);
                return r;
        }
        *ret = records;
        *ret_n = n;
        return 0;
}

static void add_member(Message *m, OutboxRecord *record)
{
        Message *member;

        /* It is on disk: without memory it is found there at the next start. */
        if (message_new(m->client, record, &member) < 0)
                return;
        if (member->record.state != DELIVERY_QUEUED) {
                message_release(member);
                return;
        }
        if (m->payload && m->record.size <= COPIED_MAX)
                (void) !message_keep_payload(member, m->payload);
        queue_add(member->queue, member);
        bind_queue(member->queue);
}

void fanout_begin(Message *m, OutboxRecord *records, size_t n)
{
        m->fanout->n_members = (unsigned) n;
        show_count(m->fanout);
        if (m->record.state == DELIVERY_GATHERING)
                hold(m->fanout, true);
        for (size_t i = 0; i < n; i++)
                add_member(m, records + i);
        message_drop_payload(m);
}

/* What follows from the members. */

/* Never on the wire: not needed any more. What was sent finishes. */
static void drop_member(Message *member)
{
        if (!delivery_state_is_final(member->record.state) && member->link.sends == 0 &&
                        !member->record.duplicate) {
                (void) str_replace(&member->record.error, "not needed any more");
                deliver_event(member, DELIVERY_CANCEL_UNSENT, "not needed any more");
        }
}

static const MemberWalk dropping = {.each = drop_member};

static void check(Fanout *w)
{
        Message *m = w->message;
        bool over = w->n_acked + w->n_failed >= w->n_members;
        _cleanup_free_ char *why = NULL;

        if (delivery_state_is_final(m->record.state))
                return;
        if (w->n_acked >= needed(w))
                deliver_event(m, DELIVERY_GATHERED, NULL);
        else if (delivery_state_is_ending(m->record.state)) {
                if (over)
                        deliver_event(m, DELIVERY_GONE, NULL);
        } else if (over || (!is_all(w) && needed(w) > w->n_members - w->n_failed)) {
                why = str_format("%u of %u receivers did not ack", w->n_failed, w->n_members);
                (void) str_replace(&m->record.error, why);
                deliver_event(m, DELIVERY_EXHAUSTED, why);
        }
        if (delivery_state_is_final(m->record.state) && !over)
                for_each_member(m, &dropping);
}

void fanout_ended(Message *m)
{
        Message *whole = message_is_member(m) ? message_find(m->client, m->record.id) : m;
        Fanout *w = whole ? whole->fanout : NULL;

        if (!w)
                return;
        if (whole == m) {
                hold(w, false);
                return;
        }
        if (m->record.state == DELIVERY_ACKED)
                w->n_acked++;
        else
                w->n_failed++;
        whole->record.attempts += m->record.attempts;
        if (!w->held)
                return;
        show_count(w);
        message_changed(whole);
        check(w);
}

void fanout_load(Message *m, unsigned n_acked, unsigned n_failed, unsigned n_members)
{
        Fanout *w = m->fanout;

        w->n_acked = n_acked;
        w->n_failed = n_failed;
        w->n_members = n_members;
        hold(w, true);
        message_announce(m);
}

/* A wish of the sender. */

/* The whole may have been cancelled while its members were read. */
static void start_member(Message *member)
{
        const Message *m = message_find(member->client, member->record.id);

        if (m && m->record.state == DELIVERY_DELAYED)
                deliver_start(member);
}

static void started(Message *m, size_t n)
{
        if (m->record.state != DELIVERY_DELAYED)
                return;
        m->fanout->n_members = (unsigned) n;
        show_count(m->fanout);
        m->record.wake_usec = m->record.policy.deadline_usec;
        hold(m->fanout, true);
        deliver_event(m, DELIVERY_GATHER, NULL);
        message_save(m);
}

static const MemberWalk starting = {.each = start_member, .end = started};

/* The members first: a crash between leaves the whole delayed, and this comes again. */
void fanout_start(Message *m)
{
        if (!m->fanout->reading)
                for_each_member(m, &starting);
}

static void cancel_member(Message *member)
{
        (void) deliver_cancel(member);
}

static void give_up_member(Message *member)
{
        deliver_give_up(member, "the message was given up");
}

static const MemberWalk cancelling = {.each = cancel_member}, giving_up = {.each = give_up_member};

void fanout_end(Message *m, DeliveryEvent event, const char *why)
{
        bool cancel = event == DELIVERY_CANCEL, delayed = m->record.state == DELIVERY_DELAYED;

        deliver_event(m, !delayed ? event : cancel ? DELIVERY_CANCEL_UNSENT : DELIVERY_GIVE_UP_UNSENT, why);
        message_save(m);
        for_each_member(m, cancel ? &cancelling : &giving_up);
}

/* A crash may have come between the wish and what it meant for the members. */
void fanouts_recount(Client *c)
{
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&c->messages.index, &cursor))) {
                Message *m = CONTAINER_OF(i, Message, by_key);
                if (!m->fanout || !m->fanout->held)
                        continue;
                if (m->record.state == DELIVERY_CANCELLING)
                        for_each_member(m, &cancelling);
                else if (m->record.state == DELIVERY_GIVING_UP)
                        for_each_member(m, &giving_up);
                check(m->fanout);
        }
}

/* Ends that come while the members are read are counted, and then once more by the walk. */
static void begin_count(Message *m)
{
        m->fanout->n_acked = m->fanout->n_failed = 0;
}

/* What has no end yet, or none that is on disk, is counted when it has. */
static void count_member(Message *member)
{
        Fanout *w = message_find(member->client, member->record.id)->fanout;

        if (!delivery_state_is_final(member->record.state) || member->save.running || member->save.refused)
                return;
        if (member->record.state == DELIVERY_ACKED)
                w->n_acked++;
        else if (deliver_revive(member) < 0)
                w->n_failed++;
}

static void revived(Message *m, size_t n)
{
        if (m->record.state != DELIVERY_DEAD || message_enter_queue(m) < 0)
                return;
        m->fanout->need = m->queue->selector.quorum;
        m->fanout->n_members = (unsigned) n;
        m->record.wake_usec = m->record.settled_usec = 0;
        m->client->messages.n_open++;
        m->client->messages.n_dead--;
        hold(m->fanout, true);
        show_count(m->fanout);
        deliver_event(m, DELIVERY_GATHER, NULL);
        message_save(m);
        check(m->fanout);
}

static const MemberWalk reviving = {begin_count, count_member, revived};

int fanout_revive(Message *m)
{
        if (m->fanout->reading)
                return -EBUSY;
        for_each_member(m, &reviving);
        return 0;
}

/* Who joins. */

typedef struct Join {
        OutboxJoinOp join;
        Message *message; /* pinned */
} Join;

static void on_joined(DbOp *op, int r)
{
        Join *j = CONTAINER_OF(CONTAINER_OF(op, OutboxJoinOp, op), Join, join);
        Message *m = j->message;

        if (r >= 0) {
                m->fanout->n_members++;
                show_count(m->fanout);
                message_changed(m);
                add_member(m, &j->join.member);
        } else if (r != -EEXIST)
                log_error_errno(r, "Cannot add a receiver that joined to a message");
        outbox_record_clear(&j->join.member);
        free(j);
        message_unpin(m);
}

void fanouts_joined(Client *c, Peer *p)
{
        Fanout *w;

        DL_FOREACH(c->fanouts.following, w) {
                Message *m = w->message;
                Join *j;

                if (m->record.state != DELIVERY_GATHERING ||
                                !selector_matches(&m->queue->selector, &p->info))
                        continue;
                j = calloc(1, sizeof *j);
                if (!j)
                        return;
                outbox_join_op_init(&j->join);
                if (make_member(m, &p->info, 0, &j->join.member) < 0) {
                        outbox_record_clear(&j->join.member);
                        free(j);
                        return;
                }
                j->message = m;
                j->join.op.done = on_joined;
                message_pin(m);
                db_submit(c->db, &j->join.op);
        }
}
