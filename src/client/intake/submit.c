/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/submit.h"

#include <errno.h>
#include <inttypes.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/backlog.h"
#include "client/engine/bind.h"
#include "client/engine/dispatch.h"
#include "client/engine/fanout.h"
#include "client/engine/members.h"
#include "client/intake/lookup.h"
#include "client/intake/schedule.h"
#include "client/link/window.h"
#include "client/state/message.h"
#include "client/state/peer.h"
#include "client/state/transient.h"
#include "model/name.h"

typedef struct Insert {
        OutboxInsertOp insert;
        Client *client;
        Message *message;
        OutboxRecord *members; /* of a message to several receivers */
        size_t n_members;
        char *key;
        bool arrives; /* counted in Queue.n_arriving */
        uint64_t number;
        SubmitDone done;
        void *userdata;
        RetryItem retry;
} Insert;

static void insert_free(Client *c, Insert *i)
{
        outbox_records_free(i->members, i->n_members);
        free(i->key);
        slab_free(&c->slab, i, sizeof *i);
}

/* Undoes make_message() and bind_at_once(). The sequence counts as settled. */
static void submit_rollback(Message *m)
{
        Client *c = m->client;
        Peer *p = m->link.peer;
        Queue *q = m->queue;

        bind_settle(m);
        bind_end(m);
        c->messages.n_open--;
        message_release(m);
        if (!p)
                return;
        /* It had taken the room of others. */
        bind_queue(q);
        c->link.room(p);
}

/* What the disk has refused. */

static void withdraw(Insert *i);

static void withdraw_again(RetryItem *i)
{
        withdraw(CONTAINER_OF(i, Insert, retry));
}

static void drop_withdrawal(RetryItem *item)
{
        Insert *i = CONTAINER_OF(item, Insert, retry);

        insert_free(i->client, i);
}

static void on_withdrawn(DbOp *op, int r)
{
        Insert *i = CONTAINER_OF(CONTAINER_OF(op, OutboxInsertOp, op), Insert, insert);
        const OutboxRecord *o = &i->insert.record;
        Client *c = i->client;

        if (r < 0 && !c->stopping) {
                retry_soon(&c->retries, &i->retry, withdraw_again);
                return;
        }
        if (r >= 0)
                window_settle_late(c, o->receiver, o->stream, o->sequence);
        insert_free(c, i);
}

/* If the disk has the message all the same, the next start finds it, and sends it. So its sequence counts as
 * settled only when it is certainly not there. */
static void withdraw(Insert *i)
{
        db_overwrite_op_init(&i->insert.op);
        i->insert.op.done = on_withdrawn;
        i->retry.drop = drop_withdrawal;
        db_submit(i->client->db, &i->insert.op);
}

static void on_refused(Insert *i, int r)
{
        Message *m = i->message;
        Client *c = i->client;
        const bool bound = m->bind.window && !m->transient;

        i->done(NULL, r, i->number, i->userdata);
        if (bound)
                bind_settle_late(m); /* see withdraw() */
        submit_rollback(m);
        if (!bound) {
                insert_free(c, i);
                return;
        }
        outbox_records_free(i->members, i->n_members);
        i->members = NULL;
        i->n_members = 0;
        free_clear(&i->key);
        withdraw(i);
}

/* `m`: the earlier message with this idempotency key. */
static void on_existing(Message *m, int r, void *userdata)
{
        Insert *i = userdata;
        Client *c = i->client;

        i->done(m, r, i->number, i->userdata);
        insert_free(c, i);
}

static void begin(Insert *i)
{
        Message *m = i->message;

        if (m->bind.pending)
                dispatch_bound(m);
        else if (m->fanout)
                fanout_begin(m, i->members, i->n_members);
        else if (m->record.state == DELIVERY_QUEUED) {
                backlog_add(m->queue, m);
                bind_queue(m->queue);
        }
        schedule_note(m->client, m->record.wake_usec);
}

static void on_inserted(DbOp *op, int r)
{
        Insert *i = CONTAINER_OF(CONTAINER_OF(op, OutboxInsertOp, op), Insert, insert);
        Message *m = i->message;
        Client *c = m->client;

        m->save.running = false;
        c->submit.n_bytes -= m->record.size;
        if (i->arrives)
                m->queue->n_arriving--;
        if (r == -EEXIST) {
                char id[SD_ID128_UUID_STRING_MAX];

                submit_rollback(m);
                message_look_up(c, sd_id128_to_uuid_string(i->insert.existing, id), on_existing, i);
                return;
        }
        if (r < 0) {
                on_refused(i, r);
                return;
        }
        message_pin(m);
        if (!m->record.quiet) {
                message_announce(m);
                c->observer.message_event(m, EVENT_ACCEPTED, 1, "", c->observer.userdata);
        }
        crash_point("accepted-before-reply");
        i->done(m, 0, i->number, i->userdata);
        crash_point("accepted-behind-reply");
        begin(i);
        insert_free(c, i);
        message_drop_large_payload(m);
        message_unpin(m);
}

static int resolve_group(const Submission *s, Selector *ret, Error *error)
{
        int r;

        if (s->target[0] != '\0' && !name_is_valid(s->target))
                return error_set(error, -EINVAL, "\"%s\" is not the name of a group", s->target);
        if (s->mode == SELECTOR_QUORUM && (s->quorum < 1 || s->quorum > MEMBERS_MAX))
                return error_set(error, -EINVAL, "quorum: from 1 to %u", MEMBERS_MAX);
        if (s->mode == SELECTOR_KEY && (str_empty(s->key) || strlen(s->key) > KEY_MAX_LENGTH))
                return error_set(error, -EINVAL, "key: from 1 to %u bytes", KEY_MAX_LENGTH);
        strcpy(ret->group, s->target);
        ret->plain = s->plain;
        ret->follow = s->follow;
        ret->quorum = s->mode == SELECTOR_QUORUM ? s->quorum : 0;
        if (s->mode == SELECTOR_KEY && str_replace(&ret->key, s->key) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_labels; i++) {
                r = selector_add_label(ret, s->labels + i);
                if (r < 0)
                        return error_set(error, r == -E2BIG ? -EINVAL : r, "label: at most %u", LABELS_MAX);
        }
        return 0;
}

static int check(const Client *c, const Submission *s, Error *error)
{
        if (s->size > c->config.max_payload)
                return error_set(error, -EMSGSIZE,
                                "%zu bytes are more than the %" PRIu64 " that MaxPayload= allows", s->size,
                                c->config.max_payload);
        if (c->messages.n_open + c->messages.n_dead >= c->config.outbox_limit)
                return error_set(error, -EDQUOT,
                                "%" PRIu64 " messages are waiting and %" PRIu64
                                " dead letters are kept already (OutboxLimit=)",
                                c->messages.n_open, c->messages.n_dead);
        if (s->idempotency_key &&
                        (s->idempotency_key[0] == '\0' || strlen(s->idempotency_key) > KEY_MAX_LENGTH))
                return error_set(error, -EINVAL, "idempotency_key: from 1 to %u bytes", KEY_MAX_LENGTH);
        if (s->follow && s->mode != SELECTOR_ALL)
                return error_set(error, -EINVAL, "follow_joins: only with mode \"all\"");
        if (s->quorum > 0 && s->mode != SELECTOR_QUORUM)
                return error_set(error, -EINVAL, "quorum: only with mode \"quorum\"");
        if (s->key && s->mode != SELECTOR_KEY)
                return error_set(error, -EINVAL, "key: only with mode \"key\"");
        return 0;
}

/* A message that is accepted in memory must have one receiver, no idempotency key and no times. */
static int check_transient(const Client *c, const Submission *s, Error *error)
{
        if (!s->transient)
                return 0;
        if (selector_mode_is_fanout(s->mode) || s->idempotency_key || s->delay_usec > 0 ||
                        s->policy.start_usec > 0 || s->policy.deadline_usec > 0)
                return error_set(error, -EINVAL,
                                "durability: \"memory\" is for modes to, any and key, without "
                                "idempotency_key, "
                                "delay, at and deadline");
        if (c->transient.n_bytes + s->size > MEMORY_BYTES_MAX)
                return error_set(error, -EDQUOT, "the messages in memory have %zu bytes already",
                                c->transient.n_bytes);
        return 0;
}

static int resolve_receiver(Client *c, const Submission *s, Selector *ret, Error *error)
{
        Peer *p;
        int r = peer_find_by_word(c, s->target, &p);

        if (r < 0) {
                peer_tell_unknown(c, s->target, error);
                return r;
        }
        if (s->n_labels > 0)
                return error_set(error, -EINVAL, "label: not with mode \"to\"");
        /* A name is kept, not the id of who has it now: it may have another one when the message is sent.
         */
        if (sd_id128_from_string(s->target, &ret->receiver) >= 0)
                return 0;
        return str_replace(&ret->name, p->info.name);
}

int submission_queue(Client *c, const Submission *s, char **ret, Error *error)
{
        Selector selector = {.mode = s->mode};
        int r = s->mode == SELECTOR_TO ? resolve_receiver(c, s, &selector, error)
                                       : resolve_group(s, &selector, error);

        if (r >= 0) {
                *ret = selector_format(&selector);
                r = *ret ? 0 : -ENOMEM;
        }
        selector_clear(&selector);
        return r;
}

/* Converts delays to points in time, and adds the configured deadline. */
static int resolve_times(const Client *c, const Submission *s, Policy *ret, Error *error)
{
        uint64_t now = loop_now(c->loop, CLOCK_REALTIME);

        *ret = s->policy;
        if (s->delay_usec > 0)
                ret->start_usec = usec_add(now, s->delay_usec);
        if (ret->start_usec <= now)
                ret->start_usec = 0;
        if (ret->deadline_usec == 0 && !s->transient && c->config.deadline_usec != USEC_INFINITY)
                ret->deadline_usec = usec_add(MAX(now, ret->start_usec), c->config.deadline_usec);
        if (ret->deadline_usec > 0 && ret->deadline_usec <= now)
                return error_set(error, -EINVAL, "deadline: it has passed already");
        if (ret->deadline_usec > 0 && ret->deadline_usec <= ret->start_usec)
                return error_set(error, -EINVAL, "deadline: it is before the start of the message");
        /* Messages of one key stay in order, so they all have the same priority. */
        if (s->mode == SELECTOR_KEY)
                ret->priority = PRIORITY_DEFAULT;
        return 0;
}

/* Takes over `queue`. */
static int make_message(Client *c, const Submission *s, char *queue, const Policy *policy, Message **ret)
{
        OutboxRecord record = {
                        .number = c->messages.last_number + 1,
                        .size = s->size,
                        .accepted_usec = loop_now(c->loop, CLOCK_REALTIME),
                        .state = policy->start_usec > 0             ? DELIVERY_DELAYED
                                 : selector_mode_is_fanout(s->mode) ? DELIVERY_GATHERING
                                                                    : DELIVERY_QUEUED,
                        .wake_usec = policy->start_usec > 0 ? policy->start_usec : policy->deadline_usec,
                        .policy = *policy,
                        .quiet = s->quiet,
                        .queue = queue,
        };
        int r = str_replace(&record.target, s->target);

        if (r >= 0)
                r = random_uuid(&c->random, record.id.bytes);
        if (r >= 0)
                r = message_new(c, &record, ret);
        if (r < 0) {
                outbox_record_clear(&record);
                return r;
        }
        r = message_keep_payload(*ret, s->payload);
        if (r < 0) {
                message_release(*ret);
                return r;
        }
        if (s->transient)
                transient_enter(*ret);
        c->messages.last_number++;
        c->messages.n_open++;
        return 0;
}

/* Older messages of the queue go first. For a key that includes those on their way to the disk: the message
 * before them may end meanwhile. */
static bool may_bind_at_once(const Message *m)
{
        const Queue *q = m->queue;

        if (m->record.state != DELIVERY_QUEUED || q->queued || q->n_stored > 0)
                return false;
        return q->selector.mode != SELECTOR_KEY || q->n_arriving == 0;
}

/* If the choice of the receiver is clear and no older message waits for it, one commit holds both the
 * acceptance and the binding. */
static void bind_at_once(Insert *i)
{
        Message *m = i->message;
        Queue *q = m->queue;
        Peer *p = may_bind_at_once(m) ? bind_choose(q) : NULL;

        if (p)
                (void) bind_message(m, p); /* if there is no room, the message is queued */
        i->arrives = m->record.state == DELIVERY_QUEUED && !m->bind.pending;
        if (i->arrives)
                q->n_arriving++;
        if (q->selector.mode == SELECTOR_ANY && q->n_messages == 1)
                bind_connect(q);
}

static int prepare(Client *c, const Submission *s, Insert *i, Error *error)
{
        char *queue = NULL;
        Policy policy;
        int r;

        r = check_transient(c, s, error);
        if (r >= 0)
                r = check(c, s, error);
        if (r >= 0)
                r = resolve_times(c, s, &policy, error);
        if (r >= 0)
                r = str_replace(&i->key, s->idempotency_key);
        if (r >= 0)
                r = s->queue ? str_replace(&queue, s->queue) : submission_queue(c, s, &queue, error);
        if (r >= 0)
                r = make_message(c, s, queue, &policy, &i->message);
        if (r < 0 || !i->message->fanout)
                return r;
        r = members_choose(i->message, &i->members, &i->n_members, error);
        if (r < 0)
                submit_rollback(i->message);
        return r;
}

const char *submit_error_name(int r)
{
        static const struct {
                int r;
                const char *name;
        } names[] = {
                        {-ENOENT, "NoSuchReceiver"},
                        {-ENOTUNIQ, "AmbiguousReceiver"},
                        {-EDQUOT, "OutboxFull"},
                        {-EMSGSIZE, "PayloadTooLarge"},
                        {-EINVAL, "InvalidArgument"},
                        {-EEXIST, "UnderWay"},
                        {-ESHUTDOWN, "Disconnected"},
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].r == r)
                        return names[i].name;
        return "Storage";
}

int client_submit(Client *c, const Submission *submission, SubmitDone done, void *userdata, Error *error)
{
        Insert *i;
        int r;

        if (c->stopping)
                return error_set(error, -ESHUTDOWN, "the client is stopping");
        i = slab_zero(&c->slab, sizeof *i);
        r = i ? prepare(c, submission, i, error) : -ENOMEM;
        if (r < 0) {
                if (i)
                        insert_free(c, i);
                return r;
        }
        Message *m = i->message;
        bind_at_once(i);
        outbox_insert_op_init(&i->insert);
        i->insert.record = m->record;
        if (m->bind.pending)
                i->insert.record.state = DELIVERY_BOUND;
        i->insert.payload = m->payload;
        i->insert.key = i->key;
        i->insert.members = i->members;
        i->insert.n_members = i->n_members;
        i->insert.op.done = on_inserted;
        i->client = c;
        i->number = submission->number;
        i->done = done, i->userdata = userdata;
        m->save.running = true;
        c->submit.n_bytes += m->record.size;
        if (m->transient)
                transient_submit(c, &i->insert.op);
        else
                db_submit(c->db, &i->insert.op);
        return 0;
}
