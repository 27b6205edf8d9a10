/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/conn-inside.h"

#include "base/random.h"
#include "runtime/journal.h"

/* Credit. */

void conns_share(Conns *cs)
{
        loop_defer(cs->loop, &cs->share);
}

/* Equal shares; the oldest connections get what is left over. Messages that are on their way beyond a
 * smaller share are taken as they come, as long as the queue has room. */
static void on_share(void *userdata)
{
        Conns *cs = userdata;
        size_t i = 0;

        for (Conn *c = cs->by_id; c; c = c->hh.next) {
                if (c->state != CONN_OPEN)
                        continue;
                unsigned credit = conns_share_of(cs, i++);
                if (credit == c->credit)
                        continue;
                c->credit = credit;
                conn_send(c, &(Frame){.type = FRAME_CREDIT, .credit = credit});
        }
}

bool conn_may_begin(Conns *cs, uint64_t conn, size_t n_free)
{
        static const Turn nobody;
        const Conn *c = conns_find(cs, conn);

        return turn_may_take(&cs->turns, c ? &c->turn : &nobody, n_free);
}

bool conn_began(Conns *cs, uint64_t conn)
{
        Conn *c = conns_find(cs, conn);
        bool refused = c && c->turn.refused;

        if (c)
                turn_taken(&cs->turns, &c->turn);
        return refused;
}

void conn_refused(Conns *cs, uint64_t conn)
{
        Conn *c = conns_find(cs, conn);

        if (c && c->state == CONN_OPEN)
                turn_refused(&cs->turns, &c->turn);
}

static void on_offers(void *userdata)
{
        Conns *cs = userdata;
        const uint64_t next = turns_expire(&cs->turns, now_usec(CLOCK_BOOTTIME));

        (void) timer_arm_at(&cs->offers, next);
        loop_defer(cs->loop, cs->idle_check); /* somebody else may want the place */
}

void conns_offer(Conns *cs, size_t n_free)
{
        Turn *t;

        if (!cs->turns.waiting)
                return;
        while ((t = turns_offer(&cs->turns, n_free, now_usec(CLOCK_BOOTTIME)))) {
                Conn *c = CONTAINER_OF(t, Conn, turn);

                conn_send(c, &(Frame){.type = FRAME_CREDIT, .credit = c->credit});
                if (!timer_is_armed(&cs->offers))
                        (void) timer_arm_at(&cs->offers, t->until);
        }
}

/* Answers out. */

/* FailureProbability=: shows retries on purpose. */
static bool ack_is_withheld(const Conns *cs, sd_id128_t message)
{
        char id[SD_ID128_UUID_STRING_MAX];
        uint64_t random;

        if (cs->config->failure_probability <= 0 || random_bytes(&random, sizeof random) < 0)
                return false;
        if ((double) (random >> 11) * 0x1p-53 >= cs->config->failure_probability)
                return false;
        const JournalFields fields = {sd_id128_to_uuid_string(message, id), .receiver = cs->info->name};
        journal_event(JOURNAL_ACK_WITHHELD, &fields, "Message %s: ack withheld on purpose", id);
        return true;
}

void conn_answer(Conns *cs, uint64_t conn, const AnswerFrame *answer)
{
        Conn *c = conns_find(cs, conn);

        if (!c || c->state != CONN_OPEN)
                return;
        /* "Working" comes again soon. For a peer that does not read it must not pile up. */
        if (answer->outcome == OUTCOME_WORKING && connection_output_size(c->connection) > OUTPUT_PAUSE)
                return;
        if (answer->outcome == OUTCOME_ACKED && ack_is_withheld(cs, answer->message))
                return;
        conn_send(c, &(Frame){.type = FRAME_ANSWER, .answer = *answer});
}

void conn_pruned(Conns *cs, uint64_t conn, sd_id128_t stream)
{
        Conn *c = conns_find(cs, conn);

        if (c && c->state == CONN_OPEN)
                conn_send(c, &(Frame){.type = FRAME_PRUNED, .stream = stream});
}

void conn_text_done(Conns *cs, uint64_t conn, sd_id128_t message, bool acked)
{
        Conn *c = conns_find(cs, conn);

        if (!c || c->state != CONN_TEXT_WORKING)
                return;
        if (acked && !ack_is_withheld(cs, message)) {
                (void) !buffer_append(connection_output(c->connection), "ACK", STRLEN("ACK"));
                connection_flush(c->connection);
        }
        conn_end(c);
}

bool conn_is_open(Conns *cs, uint64_t conn)
{
        const Conn *c = conns_find(cs, conn);

        return c && c->state == CONN_OPEN;
}

void conns_end_older(Conns *cs, const Sender *sender)
{
        for (Conn *c = cs->by_id; c; c = c->hh.next)
                if (c->id < sender->conn && c->state == CONN_OPEN && sd_id128_equal(c->sender, sender->id))
                        conn_end(c);
}

void conns_goodbye(Conns *cs, GoodbyeReason reason, bool end)
{
        for (Conn *c = cs->by_id; c; c = c->hh.next) {
                if (c->state == CONN_OPEN)
                        conn_send(c, &(Frame){.type = FRAME_GOODBYE, .reason = reason});
                if (end || (c->state != CONN_OPEN && c->state != CONN_TEXT_WORKING))
                        conn_end(c);
        }
}

bool conns_have_parted(const Conns *cs)
{
        for (const Conn *c = cs->by_id; c; c = c->hh.next)
                if (connection_output_size(c->connection) > 0 ||
                                (c->state == CONN_OPEN && !c->goodbye_received))
                        return false;
        return true;
}

int conns_init(Conns *cs)
{
        cs->share = (LoopWork){.run = on_share, .userdata = cs};
        return timer_init(&cs->offers, cs->loop, "offers", on_offers, cs);
}

void conns_clear(Conns *cs)
{
        Conn *c, *next;

        HASH_ITER(hh, cs->by_id, c, next)
                conn_free(c);
        timer_clear(&cs->offers);
        if (cs->loop)
                loop_cancel(cs->loop, &cs->share);
}
