/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/seed.h"

#include <errno.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "discovery/api.h"
#include "discovery/leases.h"
#include "wire/receiver-json.h"

static cJSON *parse(HttpExchange *x, JsonError *e)
{
        size_t size;
        const char *body = http_body(x, &size);
        cJSON *json;

        if (json_parse(body, size, &json, e) < 0) {
                api_error(x, 400, "malformed", NULL, e->error.text);
                return NULL;
        }
        return json;
}

/* It knows no tokens, so it is taken over loopback too; there are only loopback sockets unless insecure ones
 * are allowed. */
static bool may_register(Discovery *d, HttpExchange *x)
{
        return !d->config->allow_insecure || api_may_register(d, x);
}

static cJSON *message(const char *text)
{
        cJSON *json = cJSON_CreateObject();

        (void) cJSON_AddStringToObject(json, "message", text);
        return json;
}

static int parse_port(const cJSON *json, uint64_t *ret, JsonError *e)
{
        const cJSON *port = cJSON_GetObjectItemCaseSensitive(json, "port");

        if (cJSON_IsString(port) && parse_u64(port->valuestring, 1, 65535, ret) >= 0)
                return 0;
        *ret = 0;
        int r = json_get_unsigned(json, "port", 1, 65535, ret, e);
        return r >= 0 && *ret == 0 ? json_error_set(e, -EINVAL, "port", "\"port\" is missing") : r;
}

void seed_register(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        JsonError e = {};
        const char *host = NULL;
        uint64_t port;
        char id[SD_ID128_UUID_STRING_MAX];
        ReceiverInfo info = {.plain = true, .capacity = 1};
        Lease *l;

        if (!may_register(d, x))
                return;
        _cleanup_(cjson_deletep) cJSON *json = parse(x, &e);
        if (!json)
                return;
        if (json_get_string(json, "host", true, &host, &e) < 0 || parse_port(json, &port, &e) < 0)
                return api_error(x, 400, "invalid", e.field, e.error.text);
        Address address = {.kind = ADDRESS_TCP, .port = (uint16_t) port};
        if (str_empty(host) || strlen(host) >= sizeof address.host || strpbrk(host, "/ []"))
                return api_error(x, 400, "invalid", "host", "\"host\" must be a host name or a number");
        strcpy(address.host, host);

        (void) sd_id128_randomize(&info.id);
        (void) sd_id128_to_uuid_string(info.id, id);
        info.name = str_format("plain-%s", id);
        info.group = strdup("default");
        info.addresses = calloc(1, sizeof address);
        if (info.addresses)
                info.addresses[info.n_addresses++] = address;
        int r = info.name && info.group && info.addresses ? book_put(d, &info, SD_ID128_NULL, &l) : -ENOMEM;
        receiver_info_clear(&info);
        if (r < 0)
                return api_error(x, 503, "limit", NULL, "no room for one more receiver");
        cJSON *answer = message("registered");
        (void) cJSON_AddStringToObject(answer, "id", id);
        api_json(x, 201, answer);
}

void seed_heartbeat(HttpExchange *x, void *userdata)
{
        Discovery *d = userdata;
        JsonError e = {};
        const char *text;
        sd_id128_t id;

        if (!may_register(d, x))
                return;
        _cleanup_(cjson_deletep) cJSON *json = parse(x, &e);
        if (!json)
                return;
        if (json_get_string(json, "id", true, &text, &e) < 0)
                return api_error(x, 400, "invalid", e.field, e.error.text);
        Lease *l = sd_id128_from_string(text, &id) < 0 ? NULL : book_find(d, id);
        if (!l || !l->plain)
                return api_json(x, 404, message("unknown receiver"));
        book_renew(d, l);
        api_json(x, 200, message("heartbeat received"));
}

/* Its first TCP address; false when it has none. */
static bool find_tcp(const Lease *l, Address *ret)
{
        char text[ADDRESS_STRING_MAX];

        /* A quote that is part of a path has a backslash before it. */
        const char *start = strstr(lease_addresses(l), "\"tcp:");
        while (start && !strchr("[,", start[-1]))
                start = strstr(start + 1, "\"tcp:");
        size_t n = start ? strcspn(start + 1, "\"") : 0;
        if (n == 0 || n >= sizeof text)
                return false;
        memcpy(text, start + 1, n);
        text[n] = '\0';
        return address_parse(text, ret, NULL) >= 0;
}

static int add(Buffer *out, const Lease *l, int64_t ahead)
{
        char id[SD_ID128_UUID_STRING_MAX], text[ADDRESS_MAX_LENGTH + 160];
        Address a;

        if (!find_tcp(l, &a))
                return 0;
        int n = snprintf(text, sizeof text,
                        "%s{\"id\":\"%s\",\"host\":\"%s\",\"port\":%u,\"last_seen\":%.6f}",
                        buffer_size(out) > 1 ? "," : "", sd_id128_to_uuid_string(l->id, id), a.host, a.port,
                        (double) ((int64_t) l->renewed + ahead) / (double) USEC_PER_SEC);
        return buffer_append(out, text, (size_t) n);
}

void seed_list(HttpExchange *x, void *userdata)
{
        int64_t ahead = (int64_t) now_usec(CLOCK_REALTIME) - (int64_t) now_usec(CLOCK_BOOTTIME);
        Discovery *d = userdata;
        Buffer out = {};
        int r;

        r = buffer_append(&out, "[", 1);
        for (const Lease *l = d->all.first; l && r >= 0; l = l->next)
                r = add(&out, l, ahead);
        if (r >= 0)
                r = buffer_append(&out, "]", sizeof "]");
        if (r < 0)
                buffer_clear(&out);
        http_reply(x, out.data ? 200 : 503, (char *) out.data);
}
