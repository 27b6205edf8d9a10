/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/address.h"
#include "model/backoff.h"
#include "model/delivery.h"
#include "model/message-event.h"
#include "model/name.h"
#include "model/outcome.h"
#include "model/policy.h"
#include "model/rendezvous.h"
#include "model/sequence-index.h"

static void test_addresses(void **state)
{
        static const char *const good[] = {
                        "unix:/run/x.sock", "tcp:127.0.0.1:0", "tcp:[::1]:7481", "tcp:h.example:1"};
        static const char *const bad[] = {"unix:x", "tcp:1.2.3.4", "tcp:1.2.3.4:70000", "tcp:::1:5",
                        "tcp:[x]:1", "tcp::1", "http://a:1", "", "udp:1.2.3.4:5"};
        char text[ADDRESS_STRING_MAX];
        Error error = {};
        Address a;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_int_equal(address_parse(good[i], &a, &error), 0);
                assert_string_equal(address_format(&a, text), good[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(address_parse(bad[i], &a, &error), -EINVAL);

        assert_int_equal(address_parse_url("http://[::1]:80/", &a, &error), 0);
        assert_true(address_is_local(&a));
        assert_int_equal(address_parse_url("http://a:80/x", &a, &error), -EINVAL);
        assert_int_equal(address_parse("tcp:0.0.0.0:1", &a, &error), 0);
        assert_true(address_is_wildcard(&a) && !address_is_local(&a));
        assert_int_equal(address_parse("tcp:127.9.9.9:1", &a, &error), 0);
        assert_true(address_is_local(&a));
}

static void test_sockaddr(void **state)
{
        static const char *const words[] = {"unix:/run/x.sock", "tcp:192.0.2.7:7481", "tcp:[2001:db8::7]:1"};
        struct sockaddr_storage ss;
        socklen_t n;
        Address a, b;
        char text[ADDRESS_STRING_MAX];

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                assert_int_equal(address_parse(words[i], &a, NULL), 0);
                assert_int_equal(address_to_sockaddr(&a, &ss, &n), 0);
                assert_int_equal(address_from_sockaddr((struct sockaddr *) &ss, n, &b), 0);
                assert_string_equal(address_format(&b, text), words[i]);
        }
        assert_int_equal(address_parse("tcp:h.example:1", &a, NULL), 0);
        assert_int_equal(address_to_sockaddr(&a, &ss, &n), -EINVAL);
}

static void test_names(void **state)
{
        assert_true(name_is_valid("1@host-a.example"));
        assert_false(name_is_valid(""));
        assert_false(name_is_valid("a b"));
        assert_false(name_is_valid("-a"));
        assert_false(name_is_valid("0123456789012345678901234567890123456789012345678901234567890123x"));
        assert_true(name_matches("1@host", "1"));
        assert_true(name_matches("1@host", "1@host"));
        assert_false(name_matches("11@host", "1"));
        assert_false(name_matches("1@host", ""));
}

/* Against the obvious way: one flag per sequence. */
static void test_sequence_set(void **state)
{
        enum { N = 300 };
        SequenceSet set;
        unsigned seed = 7;

        for (unsigned round = 0; round < 50; round++) {
                bool flags[N] = {true};

                sequence_set_init(&set);
                for (unsigned i = 0; i < 120; i++) {
                        uint64_t first = (seed = seed * 1103515245 + 12345) / 65536 % (N - 1);
                        uint64_t length = (seed = seed * 1103515245 + 12345) / 65536 % 5;
                        uint64_t last = MIN(first + length, (uint64_t) N - 1);

                        assert_int_equal(sequence_set_add(&set, first, last), 0);
                        for (uint64_t s = first; s <= last; s++)
                                flags[s] = true;
                        for (uint64_t s = 0; s < N; s++)
                                assert_int_equal(sequence_set_contains(&set, s), flags[s]);
                        for (size_t k = 0; k < set.n_ranges; k++) {
                                assert_true(set.ranges[k].first <= set.ranges[k].last);
                                assert_true(set.ranges[k].first >
                                                (k ? set.ranges[k - 1].last + 1 : set.low));
                        }
                        uint64_t count = 0, next = UINT64_MAX;
                        for (uint64_t s = N; s-- > 1;) {
                                count += flags[s];
                                next = flags[s] ? s : next;
                                assert_int_equal(sequence_set_count(&set, s), count);
                                assert_int_equal(sequence_set_first(&set, s), next);
                        }
                }
                assert_int_equal(sequence_set_add_below(&set, N), 0);
                assert_int_equal(set.n_ranges, 0);
                sequence_set_clear(&set);
        }
        assert_int_equal(sequence_set_add(&set, 5, 4), -EINVAL);
        assert_int_equal(sequence_set_add(&set, 1, UINT64_MAX), 0);
        assert_true(sequence_set_contains(&set, UINT64_MAX - 1));
        assert_int_equal(sequence_set_count(&set, 1), UINT64_MAX - 1);
        sequence_set_clear(&set);
}

static void test_backoff(void **state)
{
        const Backoff none = {0, 0};

        assert_int_equal(backoff_delay(&none, 9, 12345), 0);
        for (uint64_t random = 0; random < 1000; random += 37)
                for (unsigned failures = 1; failures < 100; failures++) {
                        uint64_t full = BACKOFF_REFUSED.max_usec;
                        if (failures < 7)
                                full = MIN(full, BACKOFF_REFUSED.first_usec << (failures - 1));
                        uint64_t d = backoff_delay(
                                        &BACKOFF_REFUSED, failures, random * UINT64_C(0x9E3779B97F4A7C15));
                        assert_true(d >= 1 && d <= full);
                }
}

static DeliveryState step(DeliveryState from, DeliveryEvent event, unsigned actions)
{
        DeliveryStep s;

        assert_true(delivery_step(from, event, &s));
        assert_int_equal(s.actions, actions);
        return s.next;
}

/* The seed's phases: sent, no ack, sent again, acked. */
static void test_delivery_retry(void **state)
{
        DeliveryState s = DELIVERY_QUEUED;

        s = step(s, DELIVERY_BIND, 0);
        s = step(s, DELIVERY_WRITE, DELIVERY_ARM_ACK);
        s = step(s, DELIVERY_TIMEOUT, DELIVERY_CHARGE | DELIVERY_ARM_RETRY);
        s = step(s, DELIVERY_DUE, 0);
        s = step(s, DELIVERY_WRITE, DELIVERY_ARM_ACK);
        s = step(s, DELIVERY_DISCONNECT, 0); /* not charged */
        s = step(s, DELIVERY_WRITE, DELIVERY_ARM_ACK);
        s = step(s, DELIVERY_ANSWER_WORKING, DELIVERY_ARM_ACK);
        s = step(s, DELIVERY_ANSWER_ACKED, DELIVERY_SETTLE);
        assert_int_equal(s, DELIVERY_ACKED);
}

/* Whatever happens, a final state is left by nothing but a wish to revive it, it is entered with a
 * settlement, and no event is dead.
 */
static void test_delivery_table(void **state)
{
        bool used[_DELIVERY_EVENT_MAX] = {},
             reached[_DELIVERY_STATE_MAX] = {[DELIVERY_QUEUED] = true,
                             [DELIVERY_DELAYED] = true,
                             [DELIVERY_GATHERING] = true}; /* where a life begins */

        for (unsigned s = 0; s < _DELIVERY_STATE_MAX; s++)
                for (unsigned e = 0; e < _DELIVERY_EVENT_MAX; e++) {
                        DeliveryStep to;
                        if (!delivery_step(s, e, &to))
                                continue;
                        used[e] = reached[to.next] = true;
                        if (e == DELIVERY_REVIVE || (e == DELIVERY_GATHER && s == DELIVERY_DEAD)) {
                                assert_true(s == DELIVERY_DEAD || s == DELIVERY_REJECTED);
                                continue;
                        }
                        assert_false(delivery_state_is_final(s));
                        assert_int_equal(delivery_state_is_final(to.next),
                                        (to.actions & DELIVERY_SETTLE) != 0);
                }
        for (unsigned e = 0; e < _DELIVERY_EVENT_MAX; e++) {
                assert_true(used[e]);
                assert_int_equal(delivery_event_from_string(delivery_event_to_string(e)), e);
        }
        for (unsigned s = 0; s < _DELIVERY_STATE_MAX; s++) {
                assert_true(reached[s]);
                assert_int_equal(delivery_state_from_string(delivery_state_to_string(s)), s);
        }
}

/* Cancelling what may run is settled by the receiver's word only. */
static void test_delivery_cancel(void **state)
{
        DeliveryStep to;

        assert_int_equal(step(DELIVERY_SENT, DELIVERY_CANCEL, DELIVERY_ASK_CANCEL), DELIVERY_CANCELLING);
        assert_false(delivery_step(DELIVERY_CANCELLING, DELIVERY_DISCONNECT, &to));
        assert_false(delivery_step(DELIVERY_CANCELLING, DELIVERY_ANSWER_WORKING, &to));
        assert_int_equal(step(DELIVERY_SENT, DELIVERY_GIVE_UP, DELIVERY_CHARGE | DELIVERY_ASK_CANCEL),
                        DELIVERY_GIVING_UP);
        assert_int_equal(
                        step(DELIVERY_GIVING_UP, DELIVERY_ANSWER_CANCELLED, DELIVERY_SETTLE), DELIVERY_DEAD);
        assert_int_equal(step(DELIVERY_GIVING_UP, DELIVERY_ANSWER_ACKED, DELIVERY_SETTLE), DELIVERY_ACKED);
        assert_int_equal(step(DELIVERY_CANCELLING, DELIVERY_ANSWER_ACKED, DELIVERY_SETTLE), DELIVERY_ACKED);
        /* "Nothing was done" is no end. */
        assert_int_equal(step(DELIVERY_CANCELLING, DELIVERY_ANSWER_BUSY, DELIVERY_ARM_RETRY),
                        DELIVERY_CANCELLING);
        assert_int_equal(step(DELIVERY_GIVING_UP, DELIVERY_ANSWER_BUSY, DELIVERY_ARM_RETRY),
                        DELIVERY_GIVING_UP);
        assert_int_equal(step(DELIVERY_CANCELLING, DELIVERY_ANSWER_CANCELLED, DELIVERY_SETTLE),
                        DELIVERY_CANCELLED);
}

static void test_policy(void **state)
{
        const Policy configured = {
                        .ack_timeout_usec = 5, .backoff_usec = 1, .backoff_max_usec = 8, .max_attempts = 3};
        Policy own = POLICY_ALL_OPEN, p;

        p = policy_resolve(&own, &configured);
        assert_int_equal(p.ack_timeout_usec, 5);
        assert_int_equal(p.max_attempts, 3);
        assert_int_equal(p.priority, PRIORITY_DEFAULT);
        own.max_attempts = 0;
        own.backoff_usec = 20;
        p = policy_resolve(&own, &configured);
        assert_int_equal(p.max_attempts, 0);
        assert_int_equal(p.backoff_max_usec, 20); /* not below where it begins */
}

/* Even shares, and a receiver that goes moves its own keys only. */
static void test_rendezvous(void **state)
{
        enum { RECEIVERS = 4, KEYS = 4000 };
        unsigned shares[RECEIVERS] = {};

        for (unsigned k = 0; k < KEYS; k++) {
                uint64_t weights[RECEIVERS];
                unsigned best = 0, second = 0;
                char key[32];

                (void) snprintf(key, sizeof key, "user-%u", k);
                for (unsigned r = 0; r < RECEIVERS; r++) {
                        weights[r] = rendezvous_weight((sd_id128_t){.bytes = {1, (uint8_t) r}}, key);
                        if (weights[r] > weights[best])
                                best = r;
                }
                shares[best]++;
                for (unsigned r = 0; r < RECEIVERS - 1; r++)
                        if (weights[r] > weights[second])
                                second = r;
                assert_true(best == RECEIVERS - 1 || second == best);
        }
        for (unsigned r = 0; r < RECEIVERS; r++)
                assert_in_range(shares[r], KEYS / RECEIVERS * 8 / 10, KEYS / RECEIVERS * 12 / 10);
}

static void test_events(void **state)
{
        for (MessageEvent e = 0; e < _MESSAGE_EVENT_MAX; e++)
                assert_int_equal(message_event_from_string(message_event_to_string(e)), e);
        assert_int_equal(message_event_from_string("nonsense"), -EINVAL);
        assert_true(message_event_is_final(EVENT_DEAD) && !message_event_is_final(EVENT_MEMBER_DEAD));
        /* A state that is reached is an event of the same word. */
        for (DeliveryState s = 0; s < _DELIVERY_STATE_MAX; s++) {
                int e = message_event_from_string(delivery_state_to_string(s));
                if (e >= 0)
                        assert_int_equal(message_event_is_final((MessageEvent) e),
                                        delivery_state_is_final(s));
        }
}

static void test_states(void **state)
{
        unsigned n_final = 0, n_dead = 0, n_ending = 0;

        for (DeliveryState s = 0; s < _DELIVERY_STATE_MAX; s++) {
                n_final += delivery_state_is_final(s);
                n_dead += delivery_state_is_dead_letter(s);
                n_ending += delivery_state_is_ending(s);
                if (delivery_state_is_dead_letter(s))
                        assert_true(delivery_state_is_final(s));
                if (delivery_state_is_ending(s))
                        assert_false(delivery_state_is_final(s));
        }
        assert_int_equal(n_final, 4);
        assert_int_equal(n_dead, 2);
        assert_int_equal(n_ending, 2);
}

typedef struct Thing {
        SequenceEntry entry;
        bool there;
} Thing;

/* Removes what is settled, by a few lookups and by a walk over everything; each exactly once. */
static void test_sequence_index(void **state)
{
        enum { N = 200 };
        static Thing things[N + 1];
        SequenceIndex index;
        SequenceSet settled;
        SequenceEntry *e;

        sequence_index_init(&index, 12345);
        sequence_set_init(&settled);
        for (uint64_t s = 1; s <= N; s++) {
                assert_int_equal(sequence_index_add(&index, &things[s].entry, s), 0);
                things[s].there = true;
        }
        assert_int_equal(sequence_index_count(&index), N);
        assert_ptr_equal(sequence_index_find(&index, 17), &things[17].entry);
        assert_null(sequence_index_find(&index, N + 1));

        for (unsigned round = 0; round < 2; round++) {
                const uint64_t low = settled.low;

                assert_int_equal(sequence_set_add(&settled, round == 0 ? 7 : 1, round == 0 ? 9 : N - 10), 0);
                if (round == 1) /* more than could be looked up */
                        assert_int_equal(sequence_set_add(&settled, 10 * N, 20 * N), 0);
                SettledCursor cursor = settled_cursor(&index, &settled, low);
                assert_int_equal(cursor.by_sequence, round == 0);
                while ((e = settled_cursor_next(&cursor))) {
                        assert_true(sequence_set_contains(&settled, e->sequence));
                        assert_true(things[e->sequence].there);
                        things[e->sequence].there = false;
                        sequence_index_remove(&index, e);
                }
                for (uint64_t s = 1; s <= N; s++)
                        assert_int_equal(things[s].there, !sequence_set_contains(&settled, s));
        }
        SequenceCursor rest = {};
        unsigned n = 0;
        while ((e = sequence_index_each(&index, &rest)))
                n++;
        assert_int_equal(n, 10);
        sequence_index_clear(&index);
        sequence_set_clear(&settled);
}

static void test_outcomes(void **state)
{
        for (Outcome o = OUTCOME_ACKED; o < _OUTCOME_MAX; o++)
                assert_int_equal(outcome_from_string(outcome_to_string(o)), o);
        assert_int_equal(outcome_from_string("nonsense"), -EINVAL);
        assert_true(outcome_is_final(OUTCOME_ACKED) && !outcome_is_final(OUTCOME_FAILED));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_addresses),
                        cmocka_unit_test(test_sockaddr),
                        cmocka_unit_test(test_names),
                        cmocka_unit_test(test_sequence_set),
                        cmocka_unit_test(test_backoff),
                        cmocka_unit_test(test_delivery_retry),
                        cmocka_unit_test(test_delivery_table),
                        cmocka_unit_test(test_delivery_cancel),
                        cmocka_unit_test(test_policy),
                        cmocka_unit_test(test_rendezvous),
                        cmocka_unit_test(test_outcomes),
                        cmocka_unit_test(test_events),
                        cmocka_unit_test(test_states),
                        cmocka_unit_test(test_sequence_index),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
