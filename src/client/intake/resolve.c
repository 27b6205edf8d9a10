/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/resolve.h"

#include <errno.h>

#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "base/string-table.h"
#include "client/engine/bind.h"
#include "client/engine/dispatch.h"
#include "client/engine/fanout.h"
#include "client/engine/pump.h"
#include "client/link/peers.h"
#include "client/state/peer.h"
#include "model/backoff.h"
#include "runtime/journal.h"
#include "wire/receiver-json.h"

#define WAIT_SECONDS 50u

struct Resolver {
        Client *client;
        Timer timer;
        HttpRequest *request;
        char revision[NAME_MAX_LENGTH + 1]; /* of the known list; "": none */
        char next[NAME_MAX_LENGTH + 1];     /* start of the next page; "": none */
        uint64_t generation;
        unsigned failures;
        unsigned refused;   /* consecutive requests that found no room at discovery */
        bool poll;          /* the next request asks discovery to answer at once */
        bool lacking;       /* there was no memory for a receiver of the last answer */
        unsigned n_lacking; /* consecutive such answers */
};

static const char *const discovery_state_names[_DISCOVERY_STATE_MAX] = {
                [DISCOVERY_UNKNOWN] = "unknown",
                [DISCOVERY_REACHABLE] = "reachable",
                [DISCOVERY_UNREACHABLE] = "unreachable",
};
DEFINE_STRING_TABLE(discovery_state, DiscoveryState, discovery_state_names)

static void ask(void *userdata);

static void set_state(Client *c, DiscoveryState state)
{
        if (c->discovery_state == state)
                return;
        c->discovery_state = state;
        c->observer.changed(c->observer.userdata);
}

typedef struct Store {
        OutboxReceiverOp store;
        char *text;
} Store;

static void on_stored(DbOp *op, int r)
{
        Store *s = CONTAINER_OF(CONTAINER_OF(op, OutboxReceiverOp, op), Store, store);

        if (r < 0)
                log_debug_errno(r, "Cannot store a receiver's addresses in the outbox");
        free(s->text);
        free(s);
}

static void store(Client *c, const ReceiverInfo *info, bool departed)
{
        Store *s = calloc(1, sizeof *s);

        if (!s)
                return;
        outbox_receiver_op_init(&s->store);
        s->text = receiver_json_to_text(info);
        s->store.id = info->id;
        s->store.record = s->text;
        s->store.departed = departed;
        s->store.op.done = on_stored;
        if (s->text)
                db_submit(c->db, &s->store.op);
        else
                free(s);
}

static unsigned list_peer(Peer *p, ReceiverInfo *info)
{
        Client *c = p->client;
        unsigned changes = peer_list(p, info);

        if (changes & PEER_CAME)
                c->observer.receiver_listed(&p->info, true, c->observer.userdata);
        return changes;
}

int resolver_load(Client *c, sd_id128_t id, const char *record, bool departed)
{
        ReceiverInfo info;
        Peer *p;
        int r;

        r = receiver_json_from_text(record, &info);
        if (r < 0)
                return log_warning_errno(r, "Ignoring a receiver in the outbox that cannot be read");
        r = peer_get(c, id, &p);
        if (r < 0) {
                receiver_info_clear(&info);
                return r;
        }
        /* Valid until discovery answers. */
        if (departed)
                peer_remember(p, &info);
        else
                (void) list_peer(p, &info);
        return 0;
}

/* Discovery lists it no more. The peer stays as long as something needs it. */
static void left(Peer *p)
{
        Client *c = p->client;

        store(c, &p->info, true);
        c->observer.receiver_listed(&p->info, false, c->observer.userdata);
        dispatch_move_on(p);
        pump(p); /* tries to connect; if it fails, the receiver is gone */
        peer_release(p);
}

static void drop(Peer *p)
{
        if (peer_unlist(p))
                left(p);
}

static void take_receiver(Resolver *v, ReceiverInfo *info)
{
        Client *c = v->client;
        Peer *p, *holder = peer_find_holder(c, info->name);
        const bool listed = holder && holder->listed;
        unsigned changes;

        if (peer_get(c, info->id, &p) < 0) {
                v->lacking = true;
                return;
        }
        p->generation = v->generation;
        changes = list_peer(p, info);
        if (changes)
                store(c, &p->info, false);
        if (changes & PEER_CHANGED)
                dispatch_renamed(p);
        if (holder && holder != p && listed)
                left(holder);
        else if (holder && holder != p)
                dispatch_move_on(holder);
        if (p->info.draining)
                dispatch_move_on(p);
        pump(p);
        if (!changes)
                return;
        bind_for_peer(p);
        fanouts_joined(c, p);
}

/* Drops the receivers that are on no page of the list. */
static void drop_others(Resolver *v)
{
        Client *c = v->client;
        Peer *p, *next;

        HASH_ITER(hh, c->peers.by_id, p, next) {
                if (p->generation == v->generation)
                        continue;
                if (p->listed)
                        drop(p);
                else
                        dispatch_move_on(p);
        }
}

static void take_changes(Resolver *v, ReceiverList *list)
{
        for (size_t i = 0; i < list->n_removed; i++) {
                Peer *p = peer_find(v->client, list->removed[i]);
                if (p && p->listed)
                        drop(p);
        }
        for (size_t i = 0; i < list->n; i++)
                take_receiver(v, list->infos + i);
        strcpy(v->revision, list->revision);
}

/* Keeps the revision of the first page. So the next request also gets changes that came while the client
 * read the other pages. */
static void take_page(Resolver *v, ReceiverList *list)
{
        if (!v->next[0]) {
                if (str_equal(v->revision, list->revision) && !list->next[0])
                        return;
                v->generation++;
                strcpy(v->revision, list->revision);
        }
        for (size_t i = 0; i < list->n; i++)
                take_receiver(v, list->infos + i);
        strcpy(v->next, list->next);
        if (!v->next[0])
                drop_others(v);
}

static void ask_later(Resolver *v, unsigned failures)
{
        uint64_t random = random_u64();

        (void) timer_arm_in(&v->timer, backoff_delay(&BACKOFF_REFUSED, failures, random));
}

/* Discovery answers, so the list stays valid. The client only learns of changes later. */
static void on_no_room(Resolver *v)
{
        if (v->refused++ == 0)
                log_info("Discovery takes no more waiting requests: asking it from time to time");
        v->poll = true;
        ask_later(v, v->refused);
}

/* Use the timer: the callback of a request must not make another request. What was left out without memory
 * is in the whole list. */
static void ask_next(Resolver *v)
{
        if (v->lacking) {
                v->revision[0] = v->next[0] = '\0';
                ask_later(v, ++v->n_lacking);
        } else {
                v->n_lacking = 0;
                (void) timer_arm_in(&v->timer, 0);
        }
        v->lacking = false;
}

static void retry(Resolver *v, const char *reason)
{
        if (v->failures++ == 0)
                journal_event(JOURNAL_DISCOVERY_LOST, &(JournalFields){.reason = reason},
                                "Discovery does not answer (%s); known receivers still get messages",
                                reason);
        ask_later(v, v->failures);
        v->revision[0] = v->next[0] = '\0';
        set_state(v->client, DISCOVERY_UNREACHABLE);
}

static void on_answer(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Resolver *v = userdata;
        JsonError json_error = {};
        ReceiverList list;

        v->request = NULL;
        if (status == 410) { /* the list changed while the client read its pages */
                v->revision[0] = v->next[0] = '\0';
                (void) timer_arm_in(&v->timer, 0);
                return;
        }
        if (status == 503 && v->revision[0]) {
                on_no_room(v);
                return;
        }
        if (status != 200) {
                _cleanup_free_ char *text = status > 0 ? str_format("HTTP status %d", status) : NULL;
                return retry(v, text ?: error->text);
        }
        if (receiver_list_parse(body, size, &list, &json_error) < 0)
                return retry(v, json_error.error.text);
        if (v->failures > 0)
                journal_event(JOURNAL_DISCOVERY_BACK, &(JournalFields){}, "Discovery answers again");
        v->failures = 0;
        if (!v->poll)
                v->refused = 0;
        v->poll = false;
        if (!list.next[0]) /* this was the last page */
                set_state(v->client, DISCOVERY_REACHABLE);
        bool news = !str_equal(v->revision, list.revision);
        if (list.changes)
                take_changes(v, &list);
        else
                take_page(v, &list);
        receiver_list_clear(&list);
        peers_forget(v->client);
        if (news)
                v->client->observer.changed(v->client->observer.userdata);
        ask_next(v);
}

/* An older discovery does not know "changes". It reads "since" and answers with the whole list. */
static char *path_of(const Resolver *v)
{
        if (v->next[0])
                return str_format("/v1/receivers?after=%s", v->next);
        if (v->revision[0])
                return str_format("/v1/receivers?changes=%s&since=%s&wait=%u", v->revision, v->revision,
                                v->poll ? 0 : WAIT_SECONDS);
        return strdup("/v1/receivers");
}

static void ask(void *userdata)
{
        Resolver *v = userdata;
        _cleanup_free_ char *path = path_of(v);
        HttpCall call = {
                        .method = "GET",
                        .path = path,
                        .timeout_usec = v->revision[0] ? (WAIT_SECONDS + 10) * USEC_PER_SEC : 0,
        };
        int r = path ? 0 : -ENOMEM;

        if (v->client->stopping)
                return;
        if (r >= 0)
                r = http_client_request(v->client->http, &v->client->discovery_address, &call, on_answer, v,
                                &v->request);
        if (r < 0)
                retry(v, strerror(-r));
}

int resolver_new(Client *c, Resolver **ret)
{
        Resolver *v = calloc(1, sizeof *v);
        int r;

        if (!v)
                return -ENOMEM;
        v->client = c;
        r = timer_init(&v->timer, c->loop, "resolver", ask, v);
        if (r < 0) {
                free(v);
                return r;
        }
        *ret = v;
        return 0;
}

void resolver_start(Resolver *v)
{
        ask(v);
}

Resolver *resolver_free(Resolver *v)
{
        if (!v)
                return NULL;
        timer_clear(&v->timer);
        if (v->request)
                http_request_cancel(v->request);
        free(v);
        return NULL;
}
