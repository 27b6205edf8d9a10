/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/state/message.h"
#include "client/state/peer.h"

static void say(char text[static ERROR_MAX], const char *format, ...) _printf_(2, 3);
static void say(char text[static ERROR_MAX], const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, ERROR_MAX, format, ap);
        va_end(ap);
}

/* Formats the duration from now until then. */
static const char *until(uint64_t boottime_usec, char buffer[static DURATION_MAX])
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        return format_duration(buffer, boottime_usec > now ? boottime_usec - now : 0);
}

static const char *since(uint64_t realtime_usec, char buffer[static DURATION_MAX])
{
        uint64_t now = now_usec(CLOCK_REALTIME);

        return format_duration(buffer, now > realtime_usec ? now - realtime_usec : 0);
}

#define KIND_MAX 256u

/* Writes the group and the labels of the selector, with `group` and `label` before each. Omits labels that
 * do not fit. */
static const char *kind(
                const Selector *s, const char *group, const char *label, char buffer[static KIND_MAX])
{
        size_t n = (size_t) snprintf(buffer, KIND_MAX, "%s%s", s->group[0] ? group : "", s->group);

        for (size_t i = 0; i < s->n_labels && n < KIND_MAX; i++)
                n += (size_t) snprintf(buffer + n, KIND_MAX - n, "%s%s=%s", label, s->labels[i].key,
                                s->labels[i].value);
        return buffer;
}

static void explain_nobody(const Message *m, Explanation *e)
{
        const Selector *s = &m->queue->selector;
        char text[KIND_MAX];

        if (m->client->discovery_state == DISCOVERY_UNREACHABLE) {
                say(e->why, "Discovery does not answer, and no receiver%s is known.",
                                kind(s, " of group ", " with label ", text));
                say(e->advice, "Start discovery: systemctl start ackgroup-discovery.socket");
        } else {
                say(e->why, "No receiver%s is there.", kind(s, " of group ", " with label ", text));
                kind(s, " Group=", " Label=", text);
                if (text[0])
                        say(e->advice,
                                        "Start one: systemctl start ackgroup-receiver@N, with this in "
                                        "receiver@N.conf:%s",
                                        text);
                else
                        say(e->advice, "Start one: systemctl start ackgroup-receiver@1");
        }
}

/* A queued message for anybody, or with a key. */
static void explain_group(const Message *m, Explanation *e)
{
        unsigned n = 0, n_draining = 0, n_connected = 0;
        const Queue *q = m->queue;
        const Peer *failing = NULL;

        if (q->selector.mode == SELECTOR_KEY && (q->n_bound > 0 || (q->queued && q->queued != m))) {
                say(e->why, "An older message of the same key is at %s.",
                                q->owner ? peer_name(q->owner) : "a receiver");
                say(e->advice, "ackctl messages shows it; when it is cancelled, the next one goes.");
                return;
        }
        for (const Peer *p = m->client->peers.by_name; p; p = p->hh_name.next) {
                if (!selector_matches(&q->selector, &p->info))
                        continue;
                n++;
                n_draining += p->info.draining;
                n_connected += peer_is_connected(p) && !p->info.draining;
                if (p->link.failures > 0 && p->link.problem)
                        failing = p;
        }
        if (n == 0)
                explain_nobody(m, e);
        else if (n_draining == n) {
                say(e->why, "All %u receivers are draining: they take nothing new.", n);
                say(e->advice, "ackctl resume RECEIVER ends that.");
        } else if (n_connected > 0) {
                say(e->why, "All %u connected receivers are full, and %zu messages wait.", n_connected,
                                q->n_queued + (size_t) q->n_stored);
                say(e->advice, "Start more receivers, or raise their Concurrency= or Queue=.");
        } else if (failing) {
                say(e->why, "None of %u receivers can be reached; %s: %s.", n, peer_name(failing),
                                failing->link.problem);
                say(e->advice, "Look at it: systemctl status 'ackgroup-receiver@*'");
        } else
                say(e->why, "The client is connecting to a receiver.");
}

/* The receiver that has its name now; NULL: none. */
static const Peer *find_successor(const Peer *p)
{
        Peer *other = NULL;

        if (!p->listed && p->info.name)
                HASH_FIND(hh_name, p->client->peers.by_name, p->info.name, strlen(p->info.name), other);
        return other;
}

static void explain_peer(const Message *m, const Peer *p, Explanation *e)
{
        char duration[DURATION_MAX];
        const Peer *successor = find_successor(p);

        if (!peer_is_connected(p) && successor) {
                say(e->why, "It is for receiver %s with the id %.8s, which is gone; %.8s has its name now.",
                                peer_name(p), SD_ID128_TO_STRING(p->info.id),
                                SD_ID128_TO_STRING(successor->info.id));
                say(e->advice, "If %s may have it: ackctl cancel %.8s, and send it again.", peer_name(p),
                                SD_ID128_TO_STRING(m->record.id));
        } else if (!peer_is_connected(p)) {
                say(e->why, "Receiver %s cannot be reached%s%s%s.", peer_name(p),
                                p->link.problem ? ": " : "", p->link.problem ?: "",
                                p->listed ? "" : ", and discovery does not list it");
                say(e->advice, p->listed ? "Look at it: systemctl status 'ackgroup-receiver@*'"
                                         : "It is sent when the receiver is back; ackctl cancel cancels "
                                           "it.");
        } else if (p->info.draining && m->link.sends == 0 && !m->record.duplicate) {
                say(e->why, "Receiver %s is draining: it takes nothing new.", peer_name(p));
                say(e->advice, "ackctl resume %s ends that.", peer_name(p));
        } else if (m->record.state == DELIVERY_SENT)
                say(e->why, "Receiver %s has had it for %s and has not acked it yet.", peer_name(p),
                                since(m->record.sent_usec, duration));
        else if (peer_is_pausing(p)) {
                say(e->why, "Receiver %s had no room; the client waits until it has.", peer_name(p));
                say(e->advice, "Raise Concurrency= or Queue= of the receiver.");
        } else {
                say(e->why, "Receiver %s is full (%zu messages are bound to it%s).", peer_name(p),
                                p->n_bound, m->link.peer ? ", this one included" : "");
                say(e->advice, "Raise Concurrency= or Queue= of the receiver.");
        }
}

/* A receiver with another name has taken its place, or it was forgotten. */
static void explain_unknown(const Message *m, Explanation *e)
{
        const char *name = m->queue->selector.name;

        say(e->why, "No receiver %s is known.", name ?: m->record.target);
        say(e->advice, "It is sent when %s; ackctl cancel cancels it.",
                        name ? "a receiver has this name" : "this receiver is back");
}

/* Names up to three of the receivers that have not acked. */
static void explain_fanout(const Message *m, Explanation *e)
{
        char names[4 * (NAME_MAX_LENGTH + 2)] = "", problem[ERROR_MAX / 2] = "";
        unsigned n = 0;
        size_t size = 0;

        for (uint32_t i = 1; i <= m->fanout->n_members && n < 3; i++) {
                const Message *member = message_find_member(m->client, m->record.id, i);
                if (!member || delivery_state_is_final(member->record.state))
                        continue;
                size += (size_t) snprintf(names + size, sizeof names - size, "%s%s", n++ > 0 ? ", " : "",
                                member->record.receiver_name);
                const Peer *p = message_peer(member);
                if (p && !peer_is_connected(p) && p->link.problem && !problem[0])
                        (void) snprintf(problem, sizeof problem, " (%s cannot be reached: %s)", peer_name(p),
                                        p->link.problem);
        }
        say(e->why, "%u of %u receivers have acked%s%s%s%s%s.", m->fanout->n_acked, m->fanout->n_members,
                        m->fanout->n_failed > 0 ? ", and some will not" : "", n > 0 ? "; it waits for " : "",
                        names,
                        m->fanout->n_members - m->fanout->n_acked - m->fanout->n_failed > n && n > 0
                                        ? " and more"
                                        : "",
                        problem);
        say(e->advice, "ackctl trace %.8s shows each of them.", SD_ID128_TO_STRING(m->record.id));
}

static void explain_waiting(const Message *m, Explanation *e)
{
        char duration[DURATION_MAX];

        const char *when = m->due.position == HEAP_NOT_IN ? "a moment" : until(m->due.due, duration);

        say(e->why, "Attempt %" PRIu32 " at %s did not succeed (%s); the next one is in %s.",
                        m->record.attempts, m->record.receiver_name, m->record.error ?: "", when);
        say(e->advice, "journalctl -u 'ackgroup-receiver@*' shows why, if the receiver is on this host.");
}

static void explain_end(const Message *m, Explanation *e)
{
        bool acked = m->record.state == DELIVERY_ACKED, cancelled = m->record.state == DELIVERY_CANCELLED;
        bool rejected = m->record.state == DELIVERY_REJECTED;
        bool several = selector_mode_is_fanout(selector_text_mode(m->record.queue)),
             named = m->record.receiver_name[0] != '\0';

        /* "acked by 1@ant", "dead at 1@ant: no attempts left", "cancelled, acked by 4 of 5: cancelled by the
         * sender" */
        const char *preposition = !named              ? ""
                                  : acked || rejected ? " by "
                                  : several           ? ", acked by "
                                                      : " at ";

        say(e->why, "It is done: %s%s%s%s%s.", delivery_state_to_string(m->record.state), preposition,
                        m->record.receiver_name, acked || str_empty(m->record.error) ? "" : ": ",
                        acked ? "" : m->record.error ?: "");
        if (!acked && !cancelled)
                say(e->advice, "ackctl dead retry %.8s tries it again, ackctl dead purge %.8s forgets it.",
                                SD_ID128_TO_STRING(m->record.id), SD_ID128_TO_STRING(m->record.id));
}

void explain(const Message *m, Explanation *ret)
{
        char text[64];
        time_t at = (time_t) (m->record.policy.start_usec / USEC_PER_SEC);
        struct tm tm;

        *ret = (Explanation){};
        switch (m->record.state) {
        case DELIVERY_DELAYED:
                (void) strftime(text, sizeof text, "%F %T %Z", localtime_r(&at, &tm));
                say(ret->why, "It is delayed until %s.", text);
                break;
        case DELIVERY_GATHERING:
                explain_fanout(m, ret);
                break;
        case DELIVERY_QUEUED:
                if (m->queue->selector.mode == SELECTOR_TO && !message_peer(m))
                        explain_unknown(m, ret);
                else if (message_peer(m) &&
                                (m->queue->selector.mode == SELECTOR_TO || m->queue->queued == m))
                        explain_peer(m, message_peer(m), ret);
                else
                        explain_group(m, ret);
                break;
        case DELIVERY_BOUND:
        case DELIVERY_SENT:
                explain_peer(m, m->link.peer, ret);
                break;
        case DELIVERY_BACKOFF:
                explain_waiting(m, ret);
                break;
        case DELIVERY_CANCELLING:
        case DELIVERY_GIVING_UP:
                say(ret->why, "A handler may have begun it, so the client asks %s for the outcome.",
                                m->link.peer ? peer_name(m->link.peer) : "each receiver");
                break;
        default:
                explain_end(m, ret);
        }
}
