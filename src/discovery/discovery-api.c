/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/discovery-api.h"

#include <errno.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "discovery/discovery-seed.h"
#include "discovery/discovery-watch.h"
#include "wire/receiver-json.h"

#define BODY_MAX ((size_t) 64 << 10)

void api_json(HttpExchange *x, unsigned status, cJSON *json)
{
        char *text = json ? cJSON_PrintUnformatted(json) : NULL;

        cJSON_Delete(json);
        http_reply(x, text ? status : 503, text);
}

void api_error(HttpExchange *x, unsigned status, const char *code, const char *field, const char *message)
{
        cJSON *json = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(json, "error");

        (void) cJSON_AddStringToObject(error, "code", code);
        (void) (str_empty(field) ? cJSON_AddNullToObject(error, "field")
                                 : cJSON_AddStringToObject(error, "field", field));
        (void) cJSON_AddStringToObject(error, "message", message);
        api_json(x, status, json);
}

bool api_may_register(Discovery *d, HttpExchange *x)
{
        if (http_is_local(x) || d->allow_tcp)
                return true;
        api_error(x, 403, "transport", NULL, "registration over TCP needs AllowTcpRegistration=yes");
        return false;
}

/* Answers 401 or 403 itself. */
static bool token_fits(HttpExchange *x, const Lease *l)
{
        const char *text = http_bearer(x);
        sd_id128_t token;

        if (!text) {
                api_error(x, 401, "token-missing", NULL, "the token of the registration is missing");
                return false;
        }
        if (!sd_id128_is_null(l->token) && sd_id128_from_string(text, &token) >= 0 &&
                        sd_id128_equal(token, l->token))
                return true;
        api_error(x, 403, "token-wrong", NULL, "the token is not the one of the registration");
        return false;
}

static bool may_take_id(HttpExchange *x, const Lease *old, const ReceiverInfo *info, sd_id128_t previous)
{
        if (!token_fits(x, old))
                return false;
        if (sd_id128_equal(old->info.instance, info->instance) ||
                        sd_id128_equal(old->info.instance, previous))
                return true;
        api_error(x, 409, "id-alive", "id", "this id is alive at another instance");
        return false;
}

static void register_info(Discovery *d, HttpExchange *x, ReceiverInfo *info, sd_id128_t previous)
{
        Lease *old = sd_id128_is_null(info->id) ? NULL : discovery_find(d, info->id);
        Lease *holder = discovery_find_name(d, info->name), *l;
        char id[SD_ID128_UUID_STRING_MAX], revision[REVISION_MAX], token_text[SD_ID128_STRING_MAX];
        sd_id128_t token;

        if (old && !may_take_id(x, old, info, previous))
                return;
        if (holder && holder != old)
                return api_error(x, 409, "name-taken", "name", "another live receiver has this name");
        if (sd_id128_is_null(info->id) && sd_id128_randomize(&info->id) < 0)
                return api_error(x, 503, "unavailable", NULL, "no randomness");
        if (old)
                token = old->token;
        else if (sd_id128_randomize(&token) < 0)
                return api_error(x, 503, "unavailable", NULL, "no randomness");
        if (discovery_put(d, info, token, &l) < 0)
                return api_error(x, 503, "limit", NULL, "no room for one more receiver");

        cJSON *json = cJSON_CreateObject();
        (void) cJSON_AddStringToObject(json, "id", sd_id128_to_uuid_string(l->info.id, id));
        (void) cJSON_AddStringToObject(json, "token", sd_id128_to_string(token, token_text));
        (void) cJSON_AddNumberToObject(json, "lease_seconds", (double) d->lease_usec / USEC_PER_SEC);
        (void) cJSON_AddStringToObject(json, "revision", discovery_revision(d, revision));
        api_json(x, old ? 200 : 201, json);
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
        Lease *l = sd_id128_from_string(http_argument(x), &id) < 0 ? NULL : discovery_find(d, id);

        if (!l)
                api_error(x, 404, "unknown", "id", "no receiver has this id");
        return l;
}

static void on_heartbeat(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        Lease *l = api_may_register(d, x) ? lease_of(d, x) : NULL;

        if (!l || !token_fits(x, l))
                return;
        discovery_renew(d, l);
        cJSON *json = cJSON_CreateObject();
        (void) cJSON_AddNumberToObject(json, "lease_seconds", (double) d->lease_usec / USEC_PER_SEC);
        api_json(x, 200, json);
}

static void on_leave(HttpExchange *x, void *userdata)
{
        Lease *l = api_may_register(userdata, x) ? lease_of(userdata, x) : NULL;

        if (!l || !token_fits(x, l))
                return;
        discovery_remove(userdata, l);
        http_reply(x, 204, NULL);
}

static cJSON *print_lease(const Lease *l)
{
        cJSON *json = receiver_json_print(&l->info);
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        (void) cJSON_AddNumberToObject(json, "expires_in_ms",
                        l->expiry.due > now ? (double) ((l->expiry.due - now) / USEC_PER_MSEC) : 0);
        return json;
}

static void on_get(HttpExchange *x, void *userdata)
{
        Lease *l = lease_of(userdata, x);

        if (l)
                api_json(x, 200, print_lease(l));
}

typedef struct Selectors {
        Label labels[LABELS_MAX];
        size_t n;
        Error error;
        bool bad;
} Selectors;

static bool on_label(const char *value, void *userdata)
{
        Selectors *s = userdata;

        if (s->n >= LABELS_MAX)
                (void) error_set(&s->error, -EINVAL, "at most %u labels can be asked for", LABELS_MAX);
        s->bad = s->n >= LABELS_MAX || label_parse(value, s->labels + s->n, &s->error) < 0;
        s->n += !s->bad;
        return !s->bad;
}

static int by_name(const Lease *a, const Lease *b)
{
        return strcmp(a->info.name, b->info.name);
}

void api_answer_list(Discovery *d, HttpExchange *x)
{
        cJSON *json = cJSON_CreateObject(), *list;
        const char *group = http_query(x, "group");
        char revision[REVISION_MAX];
        Selectors s = {};

        http_query_each(x, "label", on_label, &s);
        (void) cJSON_AddStringToObject(json, "revision", discovery_revision(d, revision));
        list = cJSON_AddArrayToObject(json, "receivers");
        HASH_SRT(hh_name, d->by_name, by_name);
        for (Lease *l = d->by_name; l; l = l->hh_name.next)
                if ((!group || str_equal(group, l->info.group)) &&
                                receiver_info_has_labels(&l->info, s.labels, s.n))
                        (void) cJSON_AddItemToArray(list, print_lease(l));
        api_json(x, 200, json);
}

static void on_list(HttpExchange *x, void *userdata)
{
        const char *since = http_query(x, "since"), *wait = http_query(x, "wait");
        char revision[REVISION_MAX];
        Discovery *d = userdata;
        uint64_t seconds = 0;
        Selectors s = {};

        http_query_each(x, "label", on_label, &s);
        if (s.bad)
                return api_error(x, 400, "invalid", "label", s.error.text);
        if (wait && parse_u64(wait, 0, 60, &seconds) < 0)
                return api_error(x, 400, "invalid", "wait",
                                "\"wait\" must be a number of seconds from 0 to 60");
        if (!since || seconds == 0 || !str_equal(since, discovery_revision(d, revision)))
                return api_answer_list(d, x);
        if (watch_add(d, x, seconds * USEC_PER_SEC) < 0)
                api_error(x, 503, "limit", NULL, "too many requests wait already");
}

static void on_status(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        cJSON *json = cJSON_CreateObject();
        char revision[REVISION_MAX];

        (void) cJSON_AddStringToObject(json, "version", ACKGROUP_VERSION);
        (void) cJSON_AddNumberToObject(json, "receivers", HASH_CNT(hh_id, d->by_id));
        (void) cJSON_AddStringToObject(json, "revision", discovery_revision(d, revision));
        (void) cJSON_AddNumberToObject(json, "lease_seconds", (double) d->lease_usec / USEC_PER_SEC);
        (void) cJSON_AddBoolToObject(json, "seed_api", d->seed_api);
        api_json(x, 200, json);
}

/* The seed API is the tail, cut off where it is not switched on. */
static const HttpRoute routes[] = {
                {"POST",   "/v1/receivers",             BODY_MAX, on_register   },
                {"GET",    "/v1/receivers",             0,        on_list       },
                {"GET",    "/v1/receivers/*",           0,        on_get        },
                {"DELETE", "/v1/receivers/*",           BODY_MAX, on_leave      },
                {"POST",   "/v1/receivers/*/heartbeat", BODY_MAX, on_heartbeat  },
                {"GET",    "/v1/status",                0,        on_status     },
                {"POST",   "/register",                 BODY_MAX, seed_register },
                {"POST",   "/heartbeat",                BODY_MAX, seed_heartbeat},
                {"GET",    "/receivers",                0,        seed_list     },
                {"POST",   "/receivers",                BODY_MAX, seed_list     },
};
#define N_SEED_ROUTES 4

int api_serve(Discovery *d, const Listener *listener, HttpServer **ret)
{
        return http_server_new(loop_event(d->loop), listener->fd, listener->address.kind == ADDRESS_UNIX,
                        routes, ELEMENTSOF(routes) - (d->seed_api ? 0 : N_SEED_ROUTES), d, ret);
}
