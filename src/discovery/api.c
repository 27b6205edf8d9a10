/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "config.h"
#include "discovery/leases.h"
#include "discovery/list.h"
#include "discovery/seed.h"
#include "discovery/watch.h"
#include "runtime/journal.h"
#include "wire/receiver-json.h"

#define BODY_MAX ((size_t) 64 << 10)

void api_json(HttpExchange *x, unsigned status, cJSON *json)
{
        char *text = json ? cJSON_PrintUnformatted(json) : NULL;

        cJSON_Delete(json);
        http_reply(x, text ? status : 503, text);
}

static cJSON *error_json(const char *code, const char *field, const char *message)
{
        cJSON *json = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(json, "error");

        (void) cJSON_AddStringToObject(error, "code", code);
        (void) (str_empty(field) ? cJSON_AddNullToObject(error, "field")
                                 : cJSON_AddStringToObject(error, "field", field));
        (void) cJSON_AddStringToObject(error, "message", message);
        return json;
}

void api_error(HttpExchange *x, unsigned status, const char *code, const char *field, const char *message)
{
        api_json(x, status, error_json(code, field, message));
}

bool api_may_register(Discovery *d, HttpExchange *x)
{
        if (http_is_local(x) || d->config->allow_tcp)
                return true;
        api_error(x, 403, "transport", NULL, "registration over TCP needs AllowTcpRegistration=yes");
        return false;
}

typedef struct Refusal {
        unsigned status;
        const char *code, *field, *message;
} Refusal;

static const Refusal token_missing = {
                401, "token-missing", NULL, "the token of the registration is missing"};
static const Refusal token_wrong = {
                403, "token-wrong", NULL, "the token is not the one of the registration"};
static const Refusal id_alive = {409, "id-alive", "id", "this id is alive at another instance"};

/* NULL: it fits. */
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

/* Answers 401 or 403 itself. */
static bool token_fits(HttpExchange *x, const Lease *l)
{
        const Refusal *r = check_token(x, l);

        if (r)
                api_error(x, r->status, r->code, r->field, r->message);
        return !r;
}

/* Whether the holder speaks tells a copy of a living receiver from the successor of a dead one. */
static void refuse_id(Discovery *d, HttpExchange *x, const Lease *holder, const Refusal *r)
{
        cJSON *json = error_json(r->code, r->field, r->message);
        uint64_t heard = book_heard(d, holder);

        if (heard > 0)
                (void) cJSON_AddNumberToObject(cJSON_GetObjectItemCaseSensitive(json, "error"),
                                "heard_ms_ago",
                                (double) ((now_usec(CLOCK_BOOTTIME) - heard) / USEC_PER_MSEC));
        api_json(x, r->status, json);
}

static bool may_take_id(Discovery *d, HttpExchange *x, const Lease *old, const ReceiverInfo *info,
                sd_id128_t previous)
{
        const Refusal *r = check_token(x, old);

        if (!r && !sd_id128_equal(old->instance, info->instance) && !sd_id128_equal(old->instance, previous))
                r = &id_alive;
        if (r)
                refuse_id(d, x, old, r);
        return !r;
}

/* Texts that hardly ever change are made once. */
static const char *lease_text(Discovery *d)
{
        if (d->lease_told != d->config->lease_usec) {
                api_clear(d);
                d->lease_told = d->config->lease_usec;
                (void) snprintf(d->lease_text, sizeof d->lease_text, "%.10g",
                                (double) d->config->lease_usec / USEC_PER_SEC);
        }
        return d->lease_text;
}

static void answer_registered(Discovery *d, HttpExchange *x, const Lease *l, bool new)
{
        char id[SD_ID128_UUID_STRING_MAX], revision[REVISION_MAX], token[SD_ID128_STRING_MAX];

        http_reply(x, new ? 201 : 200,
                        str_format("{\"id\":\"%s\",\"token\":\"%s\",\"lease_seconds\":%s,"
                                   "\"revision\":\"%s\"}",
                                        sd_id128_to_uuid_string(l->id, id),
                                        sd_id128_to_string(l->token, token), lease_text(d),
                                        group_revision(d, &d->all, revision)));
}

/* As sd_id128_randomize(), but asks the kernel once for many. -errno. */
static int random_id(Discovery *d, sd_id128_t *ret)
{
        if (d->n_random == 0) {
                if (getentropy(d->random, sizeof d->random) < 0)
                        return -errno;
                d->n_random = ELEMENTSOF(d->random);
        }
        sd_id128_t *next = d->random + --d->n_random;
        *ret = *next;
        *next = SD_ID128_NULL; /* a token is nobody else's */
        ret->bytes[6] = (ret->bytes[6] & 0x0F) | 0x40;
        ret->bytes[8] = (ret->bytes[8] & 0x3F) | 0x80;
        return 0;
}

static void register_info(Discovery *d, HttpExchange *x, ReceiverInfo *info, sd_id128_t previous)
{
        Lease *old = sd_id128_is_null(info->id) ? NULL : book_find(d, info->id);
        Lease *holder = book_find_name(d, info->name), *l;
        bool new = !old;
        sd_id128_t token;

        if (old && !may_take_id(d, x, old, info, previous))
                return;
        if (holder && holder != old)
                return api_error(x, 409, "name-taken", "name", "another live receiver has this name");
        if (sd_id128_is_null(info->id) && random_id(d, &info->id) < 0)
                return api_error(x, 503, "unavailable", NULL, "no randomness");
        if (old)
                token = old->token;
        else if (random_id(d, &token) < 0)
                return api_error(x, 503, "unavailable", NULL, "no randomness");
        int r = book_put(d, info, token, &l);
        if (r < 0)
                return api_error(x, 503, "limit", NULL, "no room for one more receiver");
        if (r == 0) /* else it has said what it said before */
                journal_event(JOURNAL_REGISTERED,
                                &(JournalFields){.receiver = l->texts, .group = group_name(l->group)},
                                "Receiver %s of group %s %s", l->texts, group_name(l->group),
                                new ? "has registered" : "has registered again");
        answer_registered(d, x, l, new);
}

static void on_register(HttpExchange *x, void *userdata)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        sd_id128_t previous = SD_ID128_NULL;
        ReceiverInfo info = {};
        JsonError e = {};
        size_t size;

        if (!api_may_register(userdata, x))
                return;
        const char *body = http_body(x, &size);
        if (json_parse(body, size, &json, &e) < 0)
                return api_error(x, 400, "malformed", NULL, e.error.text);
        if (receiver_json_parse(json, true, &info, &e) < 0)
                return api_error(x, 400, "invalid", e.field, e.error.text);
        if (json_get_id(json, "previous_instance", false, &previous, &e) < 0)
                api_error(x, 400, "invalid", e.field, e.error.text);
        else
                register_info(userdata, x, &info, previous);
        receiver_info_clear(&info);
}

/* The lease in the path, or NULL after a 404. */
static Lease *lease_of(Discovery *d, HttpExchange *x)
{
        sd_id128_t id;
        Lease *l = sd_id128_from_string(http_argument(x), &id) < 0 ? NULL : book_find(d, id);

        if (!l)
                api_error(x, 404, "unknown", "id", "no receiver has this id");
        return l;
}

/* The same for all, but for whether it is draining. */
static const HttpAnswer *beat_answer(Discovery *d, bool draining)
{
        const char *lease = lease_text(d);
        char text[96];

        if (!d->beats[draining]) {
                int n = snprintf(text, sizeof text, "{\"lease_seconds\":%s,\"draining\":%s}", lease,
                                draining ? "true" : "false");
                d->beats[draining] = http_answer_new(200, text, (size_t) n);
        }
        return d->beats[draining];
}

void api_clear(Discovery *d)
{
        for (int i = 0; i < 2; i++)
                d->beats[i] = http_answer_free(d->beats[i]);
}

static void on_heartbeat(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        Lease *l = api_may_register(d, x) ? lease_of(d, x) : NULL;

        if (!l || !token_fits(x, l))
                return;
        book_renew(d, l);
        const HttpAnswer *a = beat_answer(d, l->draining);
        if (a)
                http_give(x, a);
        else
                api_error(x, 503, "unavailable", NULL, "out of memory");
}

/* By whoever may register: it is for the administrator, who does not have the token. */
static void on_drain(HttpExchange *x, void *userdata)
{
        Lease *l = api_may_register(userdata, x) ? lease_of(userdata, x) : NULL;
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        JsonError e = {};
        size_t size;

        if (!l)
                return;
        const char *body = http_body(x, &size);
        if (json_parse(body, size, &json, &e) < 0)
                return api_error(x, 400, "malformed", NULL, e.error.text);
        const cJSON *drain = cJSON_GetObjectItemCaseSensitive(json, "draining");
        if (!cJSON_IsBool(drain))
                return api_error(x, 400, "invalid", "draining", "\"draining\" must be true or false");
        book_drain(userdata, l, cJSON_IsTrue(drain));
        http_reply(x, 204, NULL);
}

static void on_leave(HttpExchange *x, void *userdata)
{
        Lease *l = api_may_register(userdata, x) ? lease_of(userdata, x) : NULL;

        if (!l || !token_fits(x, l))
                return;
        journal_event(JOURNAL_LEFT, &(JournalFields){.receiver = l->texts, .group = group_name(l->group)},
                        "Receiver %s has left", l->texts);
        book_remove(userdata, l);
        http_reply(x, 204, NULL);
}

static void on_get(HttpExchange *x, void *userdata)
{
        Lease *l = lease_of(userdata, x);
        uint64_t now = now_usec(CLOCK_BOOTTIME), due = l ? book_due(userdata, l) : 0;
        Buffer text = {};
        char end[64];

        if (!l)
                return;
        int n = snprintf(end, sizeof end, ",\"expires_in_ms\":%" PRIu64 "}",
                        due > now ? (due - now) / USEC_PER_MSEC : 0);
        if (lease_print(l, &text) < 0 || buffer_append(&text, end, (size_t) n + 1) < 0)
                buffer_clear(&text);
        http_reply(x, text.data ? 200 : 503, (char *) text.data);
}

static void on_list(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        char revision[REVISION_MAX];
        ListQuery q;

        if (!list_parse_query(d, x, &q))
                return;
        const Group *g = q.group ? group_find(d, q.group) : &d->all;
        if (q.wait_usec == 0 || !q.known || !str_equal(q.known, group_revision(d, g, revision)))
                return list_answer(d, x, &q);
        int r = watch_add(d, x, &q);
        if (r == -EINVAL)
                api_error(x, 400, "invalid", "group", "no group can have this name");
        else if (r < 0)
                api_error(x, 503, "limit", NULL, "too many requests wait already");
}

static void on_status(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        cJSON *json = cJSON_CreateObject();
        char revision[REVISION_MAX];

        (void) cJSON_AddStringToObject(json, "version", ACKGROUP_VERSION);
        (void) cJSON_AddNumberToObject(json, "receivers", (double) d->all.n_leases);
        (void) cJSON_AddStringToObject(json, "revision", group_revision(d, &d->all, revision));
        (void) cJSON_AddNumberToObject(json, "lease_seconds", (double) d->config->lease_usec / USEC_PER_SEC);
        (void) cJSON_AddBoolToObject(json, "seed_api", d->config->seed_api);
        api_json(x, 200, json);
}

/* The seed API is the tail, cut off where it is not switched on. */
static const HttpRoute routes[] = {
                {"POST", "/v1/receivers", BODY_MAX, on_register},
                {"GET", "/v1/receivers", 0, on_list},
                {"GET", "/v1/receivers/*", 0, on_get},
                {"DELETE", "/v1/receivers/*", BODY_MAX, on_leave},
                {"POST", "/v1/receivers/*/heartbeat", BODY_MAX, on_heartbeat},
                {"PUT", "/v1/receivers/*/draining", BODY_MAX, on_drain},
                {"GET", "/v1/status", 0, on_status},
                {"POST", "/register", BODY_MAX, seed_register},
                {"POST", "/heartbeat", BODY_MAX, seed_heartbeat},
                {"GET", "/receivers", 0, seed_list},
                {"POST", "/receivers", BODY_MAX, seed_list},
};
#define N_SEED_ROUTES 4

int api_serve(Discovery *d, const Listener *listener, HttpServer **ret)
{
        HttpService service = {
                        .routes = routes,
                        .n_routes = ELEMENTSOF(routes) - (d->config->seed_api ? 0 : N_SEED_ROUTES),
                        .userdata = d,
                        .local = listener->address.kind == ADDRESS_UNIX,
                        .connections_per_address = d->config->connections_per_address,
        };

        return http_server_new(d->loop, listener->fd, &service, ret);
}
