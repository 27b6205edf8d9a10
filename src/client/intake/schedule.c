/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/schedule.h"

#include <errno.h>

#include "base/log.h"
#include "client/engine/fanout.h"
#include "client/state/message.h"

#define PAGE 256u
/* Somebody may set the wall clock, so the client reads it at least this often. */
#define LOOK_USEC (5 * USEC_PER_SEC)
/* After a failure. */
#define AGAIN_USEC USEC_PER_SEC

typedef struct Page {
        OutboxFindOp find;
        Client *client;
} Page;

static void arm(Client *c)
{
        uint64_t now = now_usec(CLOCK_REALTIME);

        if (c->schedule.next == USEC_INFINITY)
                timer_disarm(&c->schedule.timer);
        else
                (void) timer_arm_in(&c->schedule.timer,
                                MIN(c->schedule.next > now ? c->schedule.next - now : 0, LOOK_USEC));
}

void schedule_note(Client *c, uint64_t wake_usec)
{
        if (wake_usec == 0 || wake_usec >= c->schedule.next)
                return;
        c->schedule.next = wake_usec;
        if (!c->schedule.reading)
                arm(c);
}

static void look_at(Message *m)
{
        uint64_t now = now_usec(CLOCK_REALTIME), deadline = m->record.policy.deadline_usec;

        /* A message without a time was handled already, or was revived. One whose time is still to come was
         * read before somebody set the clock back. */
        if (m->record.wake_usec == 0 || m->record.wake_usec > now) {
                schedule_note(m->client, m->record.wake_usec);
                return;
        }
        if (deadline > 0 && deadline <= now)
                message_give_up(m, "its deadline has passed");
        else
                message_start(m);
        /* A message that is being cancelled keeps its time until its end. It needs no further check. */
        if (delivery_state_is_ending(m->record.state))
                return;
        /* A message whose members are being read keeps its time too: check it again in a moment. */
        schedule_note(m->client, m->record.wake_usec == 0 || m->record.wake_usec > now
                                                 ? m->record.wake_usec
                                                 : usec_add(now, LOOK_USEC));
}

/* There was no memory: what is due now is still due then. */
static void look_again(Client *c)
{
        schedule_note(c, usec_add(now_usec(CLOCK_REALTIME), AGAIN_USEC));
}

static void take_row(Client *c, OutboxRecord *record)
{
        Message *m = message_find_member(c, record->id, record->member);
        int r = m ? 0 : message_new(c, record, &m);

        if (r == -ENOMEM)
                look_again(c);
        if (r < 0)
                return;
        message_pin(m);
        if (!m->record.quiet)
                message_announce(m);
        look_at(m);
        message_unpin(m);
}

static void read_page(Client *c, uint64_t until_usec, uint64_t from_usec, uint64_t number);

static void on_page(DbOp *op, int r)
{
        Page *p = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Page, find);
        Client *c = p->client;
        size_t n = r >= 0 ? p->find.n_records : 0;
        uint64_t from = 0, number = 0;

        c->schedule.reading = false;
        if (r < 0) {
                log_error_errno(r, "Cannot read the messages that are due from the outbox");
                c->schedule.next = usec_add(now_usec(CLOCK_REALTIME), AGAIN_USEC);
        } else
                c->schedule.next = MIN(c->schedule.next, p->find.next_usec);
        if (n > 0) {
                from = p->find.records[n - 1].wake_usec;
                number = p->find.records[n - 1].number;
        }
        for (size_t i = 0; i < n && !c->stopping; i++)
                take_row(c, p->find.records + i);
        if (r >= 0 && n == PAGE)
                read_page(c, p->find.until_usec, from, number);
        if (!c->schedule.reading && !c->stopping)
                arm(c);
        outbox_records_free(p->find.records, p->find.n_records);
        free(p);
}

static void read_page(Client *c, uint64_t until_usec, uint64_t from_usec, uint64_t number)
{
        Page *p = calloc(1, sizeof *p);

        if (!p) {
                look_again(c);
                return;
        }
        outbox_find_op_init(&p->find, OUTBOX_WAKE, PAGE);
        p->client = c;
        p->find.until_usec = until_usec;
        p->find.from_usec = from_usec;
        p->find.number = number;
        p->find.op.done = on_page;
        c->schedule.reading = true;
        db_submit(c->db, &p->find.op);
}

static void on_timer(void *userdata)
{
        Client *c = userdata;
        uint64_t now = now_usec(CLOCK_REALTIME);

        if (c->stopping || c->schedule.reading)
                return;
        if (c->schedule.next <= now) {
                c->schedule.next = USEC_INFINITY;
                read_page(c, now, 0, 0);
        }
        if (!c->schedule.reading)
                arm(c);
}

int schedule_init(Client *c)
{
        return timer_init(&c->schedule.timer, c->loop, "schedule", on_timer, c);
}

void schedule_start(Client *c)
{
        c->schedule.next = 0;
        on_timer(c);
}
