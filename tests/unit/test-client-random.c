/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receivers, discovery, programs, people and the disk do anything at any time. The counters of the client
 * stay right. When all of them behave again, every message comes to its end, and each program has heard of
 * it once. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <cmocka.h>

#include "client-crowd.h"
#include "client/intake/lookup.h"
#include "client/intake/purge.h"

#define STEPS     1500u
#define IDS_MAX   4096u
#define MEND_USEC (3600 * USEC_PER_SEC)

/* Messages. */

static sd_id128_t ids[IDS_MAX];
static unsigned n_ids;

static void on_accepted(Message *m, int r, uint64_t number, void *userdata)
{
        if (m && n_ids < IDS_MAX)
                ids[n_ids++] = m->record.id;
}

static void send_one(void)
{
        static const SelectorMode modes[] = {
                        SELECTOR_TO, SELECTOR_ANY, SELECTOR_ALL, SELECTOR_QUORUM, SELECTOR_KEY};
        static char payload[12000];
        static const size_t sizes[] = {0, 1, 100, 5000, sizeof payload};
        const char name[] = {(char) ('a' + dice(N_RECEIVERS)), '\0'};
        Submission s = submission(modes[dice(ELEMENTSOF(modes))], "", "");
        Error error = {};

        s.payload = payload;
        s.size = sizes[dice(ELEMENTSOF(sizes))];
        s.target = s.mode == SELECTOR_TO ? name : "";
        s.plain = s.mode != SELECTOR_TO && chance(50);
        s.quorum = s.mode == SELECTOR_QUORUM ? 1 + (unsigned) dice(3) : 0;
        s.follow = s.mode == SELECTOR_ALL && chance(50);
        s.key = s.mode == SELECTOR_KEY ? (chance(50) ? "k" : "l") : NULL;
        s.policy.priority = (unsigned) dice(PRIORITY_MAX + 1);
        s.transient = chance(15);
        s.quiet = chance(20);
        if (chance(30))
                s.policy.max_attempts = 1 + dice(3);
        if (!s.transient && chance(10))
                s.delay_usec = (1 + dice(20)) * USEC_PER_SEC;
        if (!s.transient && chance(10))
                s.policy.deadline_usec = now_usec(CLOCK_REALTIME) + (21 + dice(60)) * USEC_PER_SEC;
        if (!s.transient && chance(10))
                s.idempotency_key = chance(50) ? "x" : "y";
        (void) client_submit(c, &s, on_accepted, NULL, &error);
}

static void on_purged(int r, void *userdata)
{
}

/* Who waits until a wish is on disk, as calls on the bus do. */
static Message *waiting[IDS_MAX];
static unsigned n_waiting;

static void on_saved(Message *m, void *userdata)
{
        unsigned n = 0;

        if (!message_is_synced(m))
                return;
        for (unsigned i = 0; i < n_waiting; i++)
                if (waiting[i] == m)
                        message_unpin(m);
                else
                        waiting[n++] = waiting[i];
        n_waiting = n;
}

static void wait_saved(Message *m)
{
        assert_true(n_waiting < IDS_MAX);
        waiting[n_waiting++] = m;
        message_pin(m);
}

static void begin_waiting(void)
{
        n_waiting = 0;
        c->observer.message_saved = on_saved;
}

static void cancel(Message *m)
{
        wait_saved(m);
        if (message_cancel(m) >= 0)
                return;
        n_waiting--;
        message_unpin(m);
}

static void on_looked_up(Message *m, int r, void *userdata)
{
        if (!m || c->stopping)
                return;
        switch (dice(4)) {
        case 0:
                cancel(m);
                break;
        case 1:
                message_give_up(m, "no time");
                break;
        case 2:
                if (message_revive(m) >= 0)
                        wait_saved(m);
                break;
        default:
                (void) message_purge(m, on_purged, NULL);
        }
}

static void change_one(void)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (n_ids > 0)
                message_look_up(c, sd_id128_to_uuid_string(ids[dice(n_ids)], id), on_looked_up, NULL);
}

/* What must be true at any time. */

static void check_peer(const Peer *p)
{
        size_t n_bound = 0, n_backoff = 0, n_in_flight = 0, n_ready = 0, n_pressing = 0, n_fetching = 0;
        const Message *m;

        DL_FOREACH2(p->bound, m, link.next)
        {
                assert_ptr_equal(m->link.peer, p);
                n_bound++;
                n_backoff += m->record.state == DELIVERY_BACKOFF;
                n_in_flight += m->link.in_flight;
                n_ready += m->link.ready;
                n_pressing += m->bind.pressing;
                n_fetching += m->link.fetching;
                assert_true(!m->link.fetching || m->fetching);
                assert_true(!m->bind.pressing || m->bind.pending);
        }
        assert_int_equal(p->n_bound, n_bound);
        assert_int_equal(p->n_backoff, n_backoff);
        assert_int_equal(p->n_pressing, n_pressing);
        assert_int_equal(p->n_fetching, n_fetching);
        assert_true(!p->pause.probe || p->pause.probe->link.in_flight);
        assert_int_equal(p->link.n_in_flight, n_in_flight);
        DL_FOREACH2(p->ready, m, link.ready_next)
        {
                assert_true(m->link.ready);
                assert_int_equal(m->record.state, DELIVERY_BOUND);
                n_ready--;
        }
        assert_int_equal(n_ready, 0);
}

static const Message *find_last(const Queue *q, unsigned priority)
{
        const Message *m, *found = NULL, *before = NULL;

        DL_FOREACH2(q->queued, m, queued.next)
        {
                const OutboxRecord *a = before ? &before->record : NULL, *b = &m->record;
                if (a)
                        assert_true(a->policy.priority > b->policy.priority ||
                                        (a->policy.priority == b->policy.priority && a->number < b->number));
                found = b->policy.priority == priority ? m : found;
                before = m;
        }
        return found;
}

static void check_client(void)
{
        size_t n_unassigned = 0, n_bytes = 0, n_recent = 0;
        IndexCursor cursor = {};
        const Message *m;
        IndexItem *i;

        for (const Peer *p = c->peers.by_id; p; p = p->hh.next)
                check_peer(p);
        for (const Queue *q = c->queues.by_text; q; q = q->hh.next) {
                size_t n = 0;
                DL_FOREACH2(q->queued, m, queued.next)
                {
                        assert_true(m->queued.on && m->queue == q && !m->link.peer);
                        n++;
                }
                assert_int_equal(q->n_queued, n);
                for (unsigned u = 0; u <= PRIORITY_MAX; u++)
                        assert_ptr_equal(q->last[u], find_last(q, u));
                n_unassigned += n;
        }
        assert_int_equal(c->queues.n_unassigned, n_unassigned);
        while ((i = index_each(&c->messages.index, &cursor))) {
                m = CONTAINER_OF(i, Message, by_key);
                n_bytes += m->transient ? m->record.size : 0;
                n_recent += m->recent;
        }
        assert_int_equal(c->transient.n_bytes, n_bytes);
        assert_int_equal(c->messages.n_recent, n_recent);
}

static void restart(bool crash)
{
        program_forget();
        if (crash)
                client_crash();
        else {
                client_end();
                client_begin();
        }
        begin_waiting();
}

static void step(void)
{
        uint64_t what = dice(100);

        if (what < 30)
                send_one();
        else if (what < 40)
                change_one();
        else if (what < 75)
                serve_connections();
        else if (what < 85)
                serve_program();
        else if (what < 91)
                change_receivers();
        else if (what < 92)
                fake_disk_fail(1 + (unsigned) dice(30), chance(50) ? ENOSPC : EIO, true);
        else if (what < 95)
                fake_disk_fail(0, 0, false);
        else if (what < 96)
                fake_connection_fail(ECONNREFUSED, chance(50));
        else
                pass(dice((chance(10) ? 10 : 2) * USEC_PER_SEC));
        if (chance(70))
                run();
        fake_connection_set_possible(chance(95));
}

static void report_open(void)
{
        IndexCursor cursor = {};
        IndexItem *i;

        for (const Peer *p = c->peers.by_id; p; p = p->hh.next)
                print_message("%s: plain %d, link %d, connection %d, bound %zu, ready %d, in flight %u of "
                              "%u, "
                              "full %d, text %d\n",
                                p->info.name, p->info.plain, p->link.state, !!p->link.connection, p->n_bound,
                                !!p->ready, p->link.n_in_flight, p->link.credit, p->full, !!p->plain);

        while ((i = index_each(&c->messages.index, &cursor))) {
                const Message *m = CONTAINER_OF(i, Message, by_key);
                if (!delivery_state_is_final(m->record.state))
                        print_message("open: %" PRIu64 " member %" PRIu32
                                      " for %s: %s, pins %u, saving %d\n",
                                        m->record.number, m->record.member, m->record.queue,
                                        delivery_state_to_string(m->record.state), m->pins, m->save.running);
        }
}

/* From now on all behave; after an hour everything has ended. */
static void mend(void)
{
        crowd_mend();
        fake_disk_fail(0, 0, false);
        fake_connection_fail(0, false);
        fake_connection_set_possible(true);
        for (uint64_t t = 0; t < MEND_USEC && c->messages.n_open > 0; t += USEC_PER_SEC) {
                answer_discovery();
                serve_connections();
                pass(USEC_PER_SEC);
        }
        pass(10 * USEC_PER_SEC);
        serve_program();
        check_client();
        if (c->messages.n_open > 0)
                report_open();
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(n_waiting, 0);
        program_check_all_told();
}

static void live(uint64_t s, unsigned crashes)
{
        crowd_begin(s);
        begin_waiting();
        n_ids = 0;
        for (unsigned i = 0; i < STEPS; i++) {
                step();
                check_client();
                if (crashes > 0 && dice(STEPS / crashes) == 0) {
                        fake_disk_fail(0, 0, false);
                        restart(chance(50));
                }
        }
        mend();
        uint64_t n_dead = c->messages.n_dead;
        restart(false);
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(c->messages.n_dead, n_dead);
}

static void live_all(void **state, unsigned crashes)
{
        const char *word = getenv("SEED"); /* of one run, to look into it */
        uint64_t first = word ? strtoul(word, NULL, 10) : 1, last_seed = word ? first : 6;

        for (uint64_t s = first; s <= last_seed; s++) {
                client_teardown(state);
                client_setup(state);
                live(s, crashes);
        }
}

static void test_anything(void **state)
{
        live_all(state, 0);
}

static void test_anything_with_crashes(void **state)
{
        live_all(state, 8);
}

static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_anything, client_setup, client_teardown),
                cmocka_unit_test_setup_teardown(test_anything_with_crashes, client_setup, client_teardown),
};

int main(void)
{
        return cmocka_run_group_tests(tests, NULL, NULL);
}
