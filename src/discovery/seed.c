/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/seed.h"

#include <errno.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "wire/receiver-json.h"

/* There are no tokens to protect, so TCP over loopback is good enough. Other TCP sockets exist only with
 * AllowInsecure=; then the rule of /v1 counts. */
static bool may_register(const Seed *s, HttpExchange *x)
{
        return !s->config->allow_insecure || request_may_register(x, s->config->allow_tcp);
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

static int make_info(Seed *s, const Address *address, ReceiverInfo *ret)
{
        ReceiverInfo info = {.plain = true, .capacity = 1};
        char id[SD_ID128_UUID_STRING_MAX];
        int r;

        r = random_uuid(s->random, info.id.bytes);
        if (r < 0)
                return r;
        info.name = str_format("plain-%s", sd_id128_to_uuid_string(info.id, id));
        info.group = strdup("default");
        info.addresses = calloc(1, sizeof *address);
        if (info.addresses)
                info.addresses[info.n_addresses++] = *address;
        if (info.name && info.group && info.addresses) {
                *ret = info;
                return 0;
        }
        receiver_info_clear(&info);
        return -ENOMEM;
}

void seed_register(Seed *s, HttpExchange *x)
{
        JsonError e = {};
        const char *host = NULL;
        uint64_t port;
        char id[SD_ID128_UUID_STRING_MAX];
        ReceiverInfo info;
        Lease *l;

        if (!may_register(s, x))
                return;
        _cleanup_(cjson_deletep) cJSON *json = request_json(x);
        if (!json)
                return;
        if (json_get_string(json, "host", true, &host, &e) < 0 || parse_port(json, &port, &e) < 0)
                return reply_error(x, 400, "invalid", e.field, e.error.text);
        Address address = {.kind = ADDRESS_TCP, .port = (uint16_t) port};
        if (str_empty(host) || strlen(host) >= sizeof address.host || strpbrk(host, "/ []"))
                return reply_error(x, 400, "invalid", "host", "\"host\" must be a host name or a number");
        strcpy(address.host, host);

        int r = make_info(s, &address, &info);
        if (r >= 0) {
                r = leases_put(s->leases, &info, SD_ID128_NULL, &l);
                receiver_info_clear(&info);
        }
        if (r < 0)
                return reply_error(x, 503, "limit", NULL, "no room for one more receiver");
        cJSON *answer = message("registered");
        (void) cJSON_AddStringToObject(answer, "id", sd_id128_to_uuid_string(l->id, id));
        reply_json(x, 201, answer);
}

void seed_heartbeat(Seed *s, HttpExchange *x)
{
        JsonError e = {};
        const char *text;
        sd_id128_t id;

        if (!may_register(s, x))
                return;
        _cleanup_(cjson_deletep) cJSON *json = request_json(x);
        if (!json)
                return;
        if (json_get_string(json, "id", true, &text, &e) < 0)
                return reply_error(x, 400, "invalid", e.field, e.error.text);
        Lease *l = sd_id128_from_string(text, &id) < 0 ? NULL : lease_index_find(&s->leases->index, id);
        if (!l || !l->plain)
                return reply_json(x, 404, message("unknown receiver"));
        leases_renew(s->leases, l);
        reply_json(x, 200, message("heartbeat received"));
}

/* Its first TCP address; false when it has none. */
static bool find_tcp(const Lease *l, Address *ret)
{
        char text[ADDRESS_STRING_MAX];

        /* A quote inside a path follows a backslash, so only an address begins after "[" or ",". */
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

/* `ahead`: CLOCK_REALTIME minus CLOCK_BOOTTIME, in µs. */
static int print_receiver(Buffer *out, const Lease *l, int64_t ahead)
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

void seed_list(Seed *s, HttpExchange *x)
{
        int64_t ahead = (int64_t) now_usec(CLOCK_REALTIME) - (int64_t) now_usec(CLOCK_BOOTTIME);
        Buffer out = {};
        int r;

        r = buffer_append(&out, "[", 1);
        for (const Lease *l = s->leases->groups->all.first; l && r >= 0; l = l->next)
                r = print_receiver(&out, l, ahead);
        if (r >= 0)
                r = buffer_append(&out, "]", sizeof "]");
        if (r < 0)
                buffer_clear(&out);
        http_reply(x, out.data ? 200 : 503, (char *) out.data);
}
