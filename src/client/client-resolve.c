/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-resolve.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/client-deliver.h"
#include "model/backoff.h"
#include "wire/receiver-json.h"

#define WAIT_SECONDS 50u

struct Resolver {
        Client *client;
        Timer timer;
        HttpRequest *request;
        char *revision; /* NULL: ask for the list as it is */
        uint64_t generation;
        unsigned failures;
};

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
                log_debug_errno(r, "Cannot keep a receiver's addresses in the outbox");
        free(s->text);
        free(s);
}

static void store(Client *c, const ReceiverInfo *info)
{
        Store *s = calloc(1, sizeof *s);

        if (!s)
                return;
        outbox_receiver_op_init(&s->store);
        s->text = receiver_json_to_text(info);
        s->store.id = info->id;
        s->store.record = s->text;
        s->store.op.done = on_stored;
        if (s->text)
                db_submit(c->db, &s->store.op);
        else
                free(s);
}

int resolver_load(Client *c, sd_id128_t id, const char *record)
{
        ReceiverInfo info;
        Peer *p;
        int r;

        r = receiver_json_from_text(record, &info);
        if (r < 0)
                return log_warning_errno(r, "Passing over a receiver in the outbox");
        r = peer_get(c, id, &p);
        if (r < 0) {
                receiver_info_clear(&info);
                return r;
        }
        /* Until discovery says otherwise. */
        peer_list(p, &info);
        return 0;
}

static void take_list(Resolver *v, ReceiverInfo *infos, size_t n)
{
        Client *c = v->client;
        Peer *p, *next;

        v->generation++;
        for (size_t i = 0; i < n; i++) {
                if (peer_get(c, infos[i].id, &p) < 0)
                        continue;
                p->generation = v->generation;
                bool news = !p->listed;
                if (!receiver_info_equal(&p->info, infos + i)) {
                        news = true;
                        store(c, infos + i);
                }
                peer_list(p, infos + i);
                if (news)
                        deliver_wanted(p);
        }
        HASH_ITER(hh, c->peers, p, next) {
                if (p->generation == v->generation)
                        continue;
                if (p->listed)
                        peer_unlist(p);
                else
                        deliver_move_on(p);
        }
        c->observer.changed(c->observer.userdata);
}

static void retry(Resolver *v, const char *reason)
{
        uint64_t random = 0;

        if (v->failures++ == 0)
                log_notice("Discovery does not answer (%s); the receivers that are known keep getting "
                           "messages",
                                reason);
        (void) !getentropy(&random, sizeof random);
        (void) timer_arm_in(&v->timer, backoff_delay(&BACKOFF_CONNECT, v->failures, random));
        free_clear(&v->revision);
        set_state(v->client, DISCOVERY_UNREACHABLE);
}

static void on_answer(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Resolver *v = userdata;
        ReceiverInfo *infos = NULL;
        JsonError json_error = {};
        char *revision = NULL;
        size_t n = 0;
        int r;

        v->request = NULL;
        if (status != 200) {
                _cleanup_free_ char *text = status > 0 ? str_format("HTTP status %d", status) : NULL;
                retry(v, text ?: error->text);
                return;
        }
        r = receiver_json_parse_list(body, size, &infos, &n, &revision, &json_error);
        if (r < 0) {
                retry(v, json_error.error.text);
                return;
        }
        if (v->failures > 0)
                log_notice("Discovery answers again");
        v->failures = 0;
        set_state(v->client, DISCOVERY_REACHABLE);
        if (!v->revision || !revision || !str_equal(v->revision, revision))
                take_list(v, infos, n);
        free(v->revision);
        v->revision = revision;
        receiver_info_array_free(infos, n);
        /* From the loop: a request may not be made from inside the callback of another. */
        (void) timer_arm_in(&v->timer, 0);
}

static void ask(void *userdata)
{
        Resolver *v = userdata;
        _cleanup_free_ char *path =
                        v->revision ? str_format("/v1/receivers?since=%s&wait=%u", v->revision, WAIT_SECONDS)
                                    : strdup("/v1/receivers");
        HttpCall call = {
                        .method = "GET",
                        .path = path,
                        .timeout_usec = v->revision ? (WAIT_SECONDS + 10) * USEC_PER_SEC : 0,
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
        r = timer_init(&v->timer, loop_event(c->loop), "resolver", ask, v);
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
        free(v->revision);
        free(v);
        return NULL;
}
