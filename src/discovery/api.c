/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "config.h"
#include "runtime/journal.h"
#include "wire/receiver-json.h"

#define BODY_MAX ((size_t) 64 << 10)

typedef struct Refusal {
        unsigned status;
        const char *code, *field, *message;
} Refusal;

static const Refusal token_missing = {
                401, "token-missing", NULL, "the token of the registration is missing"};
static const Refusal token_wrong = {
                403, "token-wrong", NULL, "the token is not the one of the registration"};
static const Refusal id_alive = {409, "id-alive", "id", "this id is alive at another instance"};

/* NULL: the request has the token of the lease. */
static const Refusal *check_token(const HttpExchange *x, const Lease *l)
{
        const char *text = http_bearer(x);
        sd_id128_t token;

        if (!text)
                return &token_missing;
        if (sd_id128_is_null(l->token) || sd_id128_from_string(text, &token) < 0 ||
                        !sd_id128_equal(token, l->token))
                return &token_wrong;
        return NULL;
}

/* False after it has answered with 401 or 403. */
static bool has_token(HttpExchange *x, const Lease *l)
{
        const Refusal *r = check_token(x, l);

        if (r)
                reply_error(x, r->status, r->code, r->field, r->message);
        return !r;
}

/* Says when the holder of the id was last heard. From this the receiver knows whether it is the copy of a
 * living receiver or the successor of a dead one. */
static void refuse_id(const Api *a, HttpExchange *x, const Lease *holder, const Refusal *r)
{
        cJSON *json = reply_error_json(r->code, r->field, r->message);
        uint64_t heard = leases_heard(a->leases, holder);

        if (heard > 0)
                (void) cJSON_AddNumberToObject(cJSON_GetObjectItemCaseSensitive(json, "error"),
                                "heard_ms_ago",
                                (double) ((now_usec(CLOCK_BOOTTIME) - heard) / USEC_PER_MSEC));
        reply_json(x, r->status, json);
}

/* False after it has answered with 401, 403 or 409. */
static bool may_take_id(const Api *a, HttpExchange *x, const Lease *old, const ReceiverInfo *info,
                sd_id128_t previous)
{
        const Refusal *r = check_token(x, old);

        if (!r && !sd_id128_equal(old->instance, info->instance) && !sd_id128_equal(old->instance, previous))
                r = &id_alive;
        if (r)
                refuse_id(a, x, old, r);
        return !r;
}

void api_clear(Api *a)
{
        for (int i = 0; i < 2; i++)
                a->heartbeat_answers.answers[i] = http_answer_free(a->heartbeat_answers.answers[i]);
}

/* The time of a lease changes only with the configuration; then the prepared answers are made again. */
static const char *lease_seconds(Api *a)
{
        HeartbeatAnswers *h = &a->heartbeat_answers;

        if (h->lease_usec != a->config->lease_usec) {
                api_clear(a);
                h->lease_usec = a->config->lease_usec;
                (void) snprintf(h->lease_seconds, sizeof h->lease_seconds, "%.10g",
                                (double) h->lease_usec / USEC_PER_SEC);
        }
        return h->lease_seconds;
}

static const HttpAnswer *heartbeat_answer(Api *a, bool draining)
{
        const char *seconds = lease_seconds(a);
        HttpAnswer **answer = a->heartbeat_answers.answers + draining;
        char text[96];

        if (!*answer) {
                int n = snprintf(text, sizeof text, "{\"lease_seconds\":%s,\"draining\":%s}", seconds,
                                draining ? "true" : "false");
                *answer = http_answer_new(200, text, (size_t) n);
        }
        return *answer;
}

static void answer_registered(Api *a, HttpExchange *x, const Lease *l, bool new)
{
        char id[SD_ID128_UUID_STRING_MAX], revision[REVISION_MAX], token[SD_ID128_STRING_MAX];

        http_reply(x, new ? 201 : 200,
                        str_format("{\"id\":\"%s\",\"token\":\"%s\",\"lease_seconds\":%s,"
                                   "\"revision\":\"%s\"}",
                                        sd_id128_to_uuid_string(l->id, id),
                                        sd_id128_to_string(l->token, token), lease_seconds(a),
                                        group_revision(a->groups, &a->groups->all, revision)));
}

static void register_info(Api *a, HttpExchange *x, ReceiverInfo *info, sd_id128_t previous)
{
        const LeaseIndex *index = &a->leases->index;
        Lease *old = sd_id128_is_null(info->id) ? NULL : lease_index_find(index, info->id);
        Lease *holder = lease_index_find_name(index, info->name), *l;
        bool new = !old;
        sd_id128_t token;

        if (old && !may_take_id(a, x, old, info, previous))
                return;
        if (holder && holder != old)
                return reply_error(x, 409, "name-taken", "name", "another live receiver has this name");
        if (sd_id128_is_null(info->id) && random_uuid(&a->random, info->id.bytes) < 0)
                return reply_error(x, 503, "unavailable", NULL, "no random numbers");
        if (old)
                token = old->token;
        else if (random_uuid(&a->random, token.bytes) < 0)
                return reply_error(x, 503, "unavailable", NULL, "no random numbers");
        int r = leases_put(a->leases, info, token, &l);
        if (r < 0)
                return reply_error(x, 503, "limit", NULL, "no room for one more receiver");
        if (r == 0) /* 1: nothing has changed */
                journal_event(JOURNAL_REGISTERED,
                                &(JournalFields){.receiver = lease_name(l), .group = l->group->name},
                                "Receiver %s of group %s %s", lease_name(l), l->group->name,
                                new ? "has registered" : "has registered again");
        answer_registered(a, x, l, new);
}

static void on_register(HttpExchange *x, void *userdata)
{
        sd_id128_t previous = SD_ID128_NULL;
        ReceiverInfo info = {};
        Api *a = userdata;
        JsonError e = {};

        if (!request_may_register(x, a->config->allow_tcp))
                return;
        _cleanup_(cjson_deletep) cJSON *json = request_json(x);
        if (!json)
                return;
        if (receiver_json_parse(json, true, &info, &e) < 0)
                return reply_error(x, 400, "invalid", e.field, e.error.text);
        if (json_get_id(json, "previous_instance", false, &previous, &e) < 0)
                reply_error(x, 400, "invalid", e.field, e.error.text);
        else
                register_info(a, x, &info, previous);
        receiver_info_clear(&info);
}

/* The lease of the id in the path. NULL after it has answered with 404. */
static Lease *find_lease(const Api *a, HttpExchange *x)
{
        sd_id128_t id;
        Lease *l = sd_id128_from_string(http_argument(x), &id) < 0 ? NULL
                                                                   : lease_index_find(&a->leases->index, id);

        if (!l)
                reply_error(x, 404, "unknown", "id", "no receiver has this id");
        return l;
}

/* NULL after it has answered with 403 or 404. */
static Lease *find_lease_to_change(const Api *a, HttpExchange *x)
{
        return request_may_register(x, a->config->allow_tcp) ? find_lease(a, x) : NULL;
}

static void on_heartbeat(HttpExchange *x, void *userdata)
{
        Api *a = userdata;
        Lease *l = find_lease_to_change(a, x);

        if (!l || !has_token(x, l))
                return;
        leases_renew(a->leases, l);
        reply_answer(x, heartbeat_answer(a, l->draining));
}

/* Needs no token: it is for the administrator, who does not have it. */
static void on_drain(HttpExchange *x, void *userdata)
{
        Api *a = userdata;
        Lease *l = find_lease_to_change(a, x);

        if (!l)
                return;
        _cleanup_(cjson_deletep) cJSON *json = request_json(x);
        if (!json)
                return;
        const cJSON *drain = cJSON_GetObjectItemCaseSensitive(json, "draining");
        if (!cJSON_IsBool(drain))
                return reply_error(x, 400, "invalid", "draining", "\"draining\" must be true or false");
        leases_drain(a->leases, l, cJSON_IsTrue(drain));
        http_reply(x, 204, NULL);
}

static void on_leave(HttpExchange *x, void *userdata)
{
        Api *a = userdata;
        Lease *l = find_lease_to_change(a, x);

        if (!l || !has_token(x, l))
                return;
        journal_event(JOURNAL_LEFT, &(JournalFields){.receiver = lease_name(l), .group = l->group->name},
                        "Receiver %s has left", lease_name(l));
        leases_remove(a->leases, l);
        http_reply(x, 204, NULL);
}

static void on_get(HttpExchange *x, void *userdata)
{
        const Api *a = userdata;
        const Lease *l = find_lease(a, x);
        uint64_t now = now_usec(CLOCK_BOOTTIME), due = l ? leases_due(a->leases, l) : 0;
        Buffer text = {};
        char end[64];

        if (!l)
                return;
        int n = snprintf(end, sizeof end, ",\"expires_in_ms\":%" PRIu64 "}",
                        due > now ? (due - now) / USEC_PER_MSEC : 0);
        if (lease_print(l, l->group->name, &text) < 0 || buffer_append(&text, end, (size_t) n + 1) < 0)
                buffer_clear(&text);
        http_reply(x, text.data ? 200 : 503, (char *) text.data);
}

static void on_list(HttpExchange *x, void *userdata)
{
        Api *a = userdata;
        char revision[REVISION_MAX];
        ListQuery q;

        if (!list_query_parse(x, a->groups, &a->leases->index, &q))
                return;
        const Group *g = group_find(a->groups, q.group);
        if (q.wait_usec == 0 || !q.known || !str_equal(q.known, group_revision(a->groups, g, revision)))
                return lists_answer(a->lists, x, &q);
        int r = long_polls_add(a->long_polls, x, &q);
        if (r == -ESHUTDOWN) /* as those that wait are answered when discovery stops */
                lists_answer(a->lists, x, &q);
        else if (r == -EINVAL)
                reply_error(x, 400, "invalid", "group", "no group can have this name");
        else if (r < 0)
                reply_error(x, 503, "limit", NULL, "too many requests wait already");
}

static void on_status(HttpExchange *x, void *userdata)
{
        const Api *a = userdata;
        cJSON *json = cJSON_CreateObject();
        const Group *all = &a->groups->all;
        char revision[REVISION_MAX];

        (void) cJSON_AddStringToObject(json, "version", ACKGROUP_VERSION);
        (void) cJSON_AddNumberToObject(json, "receivers", (double) all->n_leases);
        (void) cJSON_AddStringToObject(json, "revision", group_revision(a->groups, all, revision));
        (void) cJSON_AddNumberToObject(json, "lease_seconds", (double) a->config->lease_usec / USEC_PER_SEC);
        (void) cJSON_AddBoolToObject(json, "seed_api", a->config->seed_api);
        reply_json(x, 200, json);
}

static void on_seed_register(HttpExchange *x, void *userdata)
{
        seed_register(&((Api *) userdata)->seed, x);
}

static void on_seed_heartbeat(HttpExchange *x, void *userdata)
{
        seed_heartbeat(&((Api *) userdata)->seed, x);
}

static void on_seed_list(HttpExchange *x, void *userdata)
{
        seed_list(&((Api *) userdata)->seed, x);
}

/* The seed API comes last, so that it can be cut off. */
static const HttpRoute routes[] = {
                {"POST", "/v1/receivers", BODY_MAX, on_register},
                {"GET", "/v1/receivers", 0, on_list},
                {"GET", "/v1/receivers/*", 0, on_get},
                {"DELETE", "/v1/receivers/*", BODY_MAX, on_leave},
                {"POST", "/v1/receivers/*/heartbeat", BODY_MAX, on_heartbeat},
                {"PUT", "/v1/receivers/*/draining", BODY_MAX, on_drain},
                {"GET", "/v1/status", 0, on_status},
                {"POST", "/register", BODY_MAX, on_seed_register},
                {"POST", "/heartbeat", BODY_MAX, on_seed_heartbeat},
                {"GET", "/receivers", 0, on_seed_list},
                {"POST", "/receivers", BODY_MAX, on_seed_list},
};
#define N_SEED_ROUTES 4

HttpService api_service(Api *a, bool local)
{
        return (HttpService){
                        .routes = routes,
                        .n_routes = ELEMENTSOF(routes) - (a->config->seed_api ? 0 : N_SEED_ROUTES),
                        .userdata = a,
                        .local = local,
                        .connections_per_address = a->config->connections_per_address,
        };
}

void api_init(Api *a, const DiscoveryConfig *config, Leases *leases, LongPolls *long_polls)
{
        *a = (Api){
                        .config = config,
                        .groups = leases->groups,
                        .leases = leases,
                        .lists = long_polls->lists,
                        .long_polls = long_polls,
                        .seed = {.config = config, .leases = leases, .random = &a->random},
        };
}
