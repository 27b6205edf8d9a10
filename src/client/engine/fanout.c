/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/fanout.h"

#include <errno.h>
#include <stdio.h>
#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/deliver.h"
#include "client/engine/members.h"
#include "client/engine/save.h"
#include "client/state/message.h"

/* An open whole stays in memory, because memory counts the ends of its members. */
static void hold(Fanout *f, bool on)
{
        Message *m = f->message;
        Client *c = m->client;

        if (f->held == on)
                return;
        f->held = on;
        if (on)
                message_pin(m);
        if (on && m->queue->selector.follow)
                DL_APPEND(c->fanouts.following, f);
        if (on)
                return;
        if (f->prev) {
                DL_DELETE(c->fanouts.following, f);
                f->prev = NULL;
        }
        message_unpin(m);
}

static void show_count(Fanout *f)
{
        OutboxRecord *record = &f->message->record;

        (void) snprintf(record->receiver_name, sizeof record->receiver_name, "%u of %u", f->n_acked,
                        f->n_members);
}

static bool is_all(const Fanout *f)
{
        return selector_text_mode(f->message->record.queue) == SELECTOR_ALL;
}

static unsigned needed(const Fanout *f)
{
        return is_all(f) ? f->n_members : f->need;
}

void fanout_begin(Message *m, OutboxRecord *records, size_t n)
{
        m->fanout->n_members = (unsigned) n;
        show_count(m->fanout);
        if (m->record.state == DELIVERY_GATHERING)
                hold(m->fanout, true);
        for (size_t i = 0; i < n; i++)
                member_add(m, records + i);
        message_drop_payload(m);
}

/* The state of the whole follows from its members. */

/* Ends a member that was never sent. One that was sent finishes. When the whole is dead, so is the member: a
 * retry needs it again. */
static void drop_member(Message *member)
{
        const Message *m = message_find(member->client, member->record.id);
        const bool dead = m && m->record.state == DELIVERY_DEAD;

        if (!delivery_state_is_final(member->record.state) && message_never_started(member)) {
                (void) str_replace(&member->record.error, "not needed any more");
                deliver_event(member, dead ? DELIVERY_GIVE_UP_UNSENT : DELIVERY_CANCEL_UNSENT,
                                "not needed any more");
        }
}

static const MemberWalk dropping = {.each = drop_member};

bool fanout_needs(Message *member)
{
        const Message *m = message_find(member->client, member->record.id);

        if (!m || !delivery_state_is_final(m->record.state) || !message_never_started(member))
                return true;
        drop_member(member);
        return false;
}

static void check(Fanout *f)
{
        Message *m = f->message;
        bool over = f->n_acked + f->n_failed >= f->n_members;
        _cleanup_free_ char *why = NULL;

        if (f->n_joining > 0 || delivery_state_is_final(m->record.state))
                return;
        if (f->n_acked >= needed(f))
                deliver_event(m, DELIVERY_GATHERED, NULL);
        else if (delivery_state_is_ending(m->record.state)) {
                if (over)
                        deliver_event(m, DELIVERY_GONE, NULL);
        } else if (over || (!is_all(f) && needed(f) > f->n_members - f->n_failed)) {
                why = str_format("%u of %u receivers did not ack", f->n_failed, f->n_members);
                (void) str_replace(&m->record.error, why);
                deliver_event(m, DELIVERY_EXHAUSTED, why);
        }
        if (delivery_state_is_final(m->record.state) && !over)
                members_walk(m, &dropping);
}

void fanout_ended(Message *m)
{
        Message *whole = message_is_member(m) ? message_find(m->client, m->record.id) : m;
        Fanout *f = whole ? whole->fanout : NULL;

        if (!f)
                return;
        if (whole == m) {
                hold(f, false);
                return;
        }
        if (m->record.state == DELIVERY_ACKED)
                f->n_acked++;
        else
                f->n_failed++;
        whole->record.attempts += m->record.attempts;
        if (!f->held)
                return;
        show_count(f);
        message_changed(whole);
        check(f);
}

void fanout_load(Message *m, unsigned n_acked, unsigned n_failed, unsigned n_members)
{
        Fanout *f = m->fanout;

        f->n_acked = n_acked;
        f->n_failed = n_failed;
        f->n_members = n_members;
        hold(f, true);
        if (!m->record.quiet)
                message_announce(m);
}

/* Requests about a message. */

/* The whole may have been cancelled during the read of its members. */
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

void message_start(Message *m)
{
        if (!m->fanout)
                deliver_start(m);
        /* Start the members first. After a crash in between, the whole is still delayed, and all of this
         * runs again. */
        else if (m->record.state == DELIVERY_DELAYED && !m->fanout->reading)
                members_walk(m, &starting);
}

static void cancel_member(Message *member)
{
        deliver_cancel(member);
}

static void give_up_member(Message *member)
{
        deliver_give_up(member, "the message was given up");
}

static const MemberWalk cancelling = {.each = cancel_member}, giving_up = {.each = give_up_member};

static void end(Message *m, DeliveryEvent event, const char *why)
{
        bool cancel = event == DELIVERY_CANCEL, delayed = m->record.state == DELIVERY_DELAYED;

        deliver_event(m, !delayed ? event : cancel ? DELIVERY_CANCEL_UNSENT : DELIVERY_GIVE_UP_UNSENT, why);
        message_save(m);
        members_walk(m, cancel ? &cancelling : &giving_up);
}

int message_cancel(Message *m)
{
        if (delivery_state_is_final(m->record.state))
                return -EALREADY;
        if (m->fanout)
                end(m, DELIVERY_CANCEL, "cancelled by the sender");
        else
                deliver_cancel(m);
        return 0;
}

void message_give_up(Message *m, const char *why)
{
        if (!m->fanout) {
                deliver_give_up(m, why);
                return;
        }
        if (delivery_state_is_final(m->record.state) || delivery_state_is_ending(m->record.state))
                return;
        (void) str_replace(&m->record.error, why);
        m->record.wake_usec = 0;
        end(m, DELIVERY_GIVE_UP, why);
}

/* A crash may have come between the request and the changes of the members. */
void fanouts_recount(Client *c)
{
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&c->messages.index, &cursor))) {
                Message *m = CONTAINER_OF(i, Message, by_key);
                if (!m->fanout || !m->fanout->held)
                        continue;
                if (m->record.state == DELIVERY_CANCELLING)
                        members_walk(m, &cancelling);
                else if (m->record.state == DELIVERY_GIVING_UP)
                        members_walk(m, &giving_up);
                check(m->fanout);
        }
}

static int check_revive(const Message *m)
{
        if (!delivery_state_is_dead_letter(m->record.state))
                return -EALREADY;
        if (m->save.running || retry_is_waiting(&m->save.retry))
                return -EBUSY; /* its end is being written */
        return m->purging ? -ENOENT : 0;
}

/* Ends that came during the read are counted already. The walk counts all ends again, so it starts at 0. */
static void begin_count(Message *m)
{
        m->fanout->n_acked = m->fanout->n_failed = 0;
}

/* A member whose end is not on disk yet is counted later, by fanout_ended(). */
static void count_member(Message *member)
{
        Fanout *f = message_find(member->client, member->record.id)->fanout;

        if (!delivery_state_is_final(member->record.state) || member->save.running ||
                        retry_is_waiting(&member->save.retry))
                return;
        if (member->record.state == DELIVERY_ACKED)
                f->n_acked++;
        else if (check_revive(member) < 0 || deliver_revive(member) < 0)
                f->n_failed++;
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

int message_revive(Message *m)
{
        int r = check_revive(m);

        if (r < 0)
                return r;
        if (!m->fanout)
                return deliver_revive(m);
        if (m->fanout->reading)
                return -EBUSY;
        members_walk(m, &reviving);
        return 0;
}

/* Receivers that join. */

typedef struct Join {
        OutboxJoinOp join;
        Message *message; /* pinned */
} Join;

static void on_joined(DbOp *op, int r)
{
        Join *j = CONTAINER_OF(CONTAINER_OF(op, OutboxJoinOp, op), Join, join);
        Message *m = j->message;

        m->fanout->n_joining--;
        if (r >= 0) {
                m->fanout->n_members++;
                show_count(m->fanout);
                message_changed(m);
                member_add(m, &j->join.member);
        } else if (r != -EEXIST)
                log_error_errno(r, "Cannot add a new receiver to a message");
        outbox_record_clear(&j->join.member);
        free(j);
        check(m->fanout); /* its other members may have ended meanwhile */
        message_unpin(m);
}

void fanouts_joined(Client *c, Peer *p)
{
        Fanout *f;

        DL_FOREACH(c->fanouts.following, f) {
                Message *m = f->message;
                Join *j;

                if (m->record.state != DELIVERY_GATHERING ||
                                !selector_matches(&m->queue->selector, &p->info))
                        continue;
                j = calloc(1, sizeof *j);
                if (!j)
                        return;
                outbox_join_op_init(&j->join);
                if (member_make(m, &p->info, 0, &j->join.member) < 0) {
                        outbox_record_clear(&j->join.member);
                        free(j);
                        return;
                }
                j->message = m;
                j->join.op.done = on_joined;
                f->n_joining++;
                message_pin(m);
                db_submit(c->db, &j->join.op);
        }
}
