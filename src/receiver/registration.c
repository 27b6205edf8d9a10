/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/registration.h"

#include <errno.h>
#include <sysexits.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "model/backoff.h"
#include "receiver/self.h"
#include "runtime/journal.h"
#include "runtime/notify.h"
#include "wire/registration-json.h"

#define LEAVE_TIMEOUT_USEC (2 * USEC_PER_SEC)
/* Timers and a busy host may make a lease so much longer, and discovery may read the last heartbeat of a
 * dead holder so much later. */
#define DISPUTE_MARGIN_USEC (500 * USEC_PER_MSEC)

static void on_timer(void *userdata)
{
        Registration *g = userdata;

        g->next(g);
}

static void later(Registration *g, uint64_t usec, void (*next)(Registration *g))
{
        g->next = next;
        (void) timer_arm_in(&g->timer, usec);
}

/* After a restart discovery waits one lease for each receiver. While we do not know its length, we assume
 * the shortest that can be configured. */
static Backoff backoff_within_lease(const Registration *g)
{
        Backoff b = BACKOFF_REFUSED;

        b.max_usec = MIN(b.max_usec, (g->lease_usec ?: LEASE_MIN_USEC) / 3);
        return b;
}

/* Logs once what stands in the way, and tries again for ever. */
static void try_later(Registration *g, void (*next)(Registration *g), const char *why)
{
        const Backoff b = backoff_within_lease(g);

        if (!g->complaint || !str_equal(g->complaint, why)) {
                log_warning("%s; trying again", why);
                (void) str_replace(&g->complaint, why);
        }
        notify_status("%s: %s", g->registered ? "Serving" : "Waiting for discovery", why);
        later(g, backoff_delay(&b, ++g->failures, random_u64()), next);
}

static void unreachable(Registration *g, void (*next)(Registration *g), const char *why)
{
        char where[ADDRESS_STRING_MAX];
        _cleanup_free_ char *text = str_format(
                        "discovery at %s cannot be asked (%s)", address_format(&g->server, where), why);

        try_later(g, next, text ?: "out of memory");
}

/* One request at a time; `done` clears g->request first. */
static void request(Registration *g, const HttpCall *call, HttpDone done, void (*again)(Registration *g))
{
        int r = http_client_request(g->http, &g->server, call, done, g, &g->request);

        if (r < 0)
                unreachable(g, again, strerror(-r));
}

static const char *token_of(const Registration *g)
{
        const char *token = g->identity.token;

        return token[0] ? token : NULL;
}

/* The lease. */

static void heartbeat(Registration *g);

static void set_draining(Registration *g, const char *body, size_t size)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        JsonError e = {};

        if (json_parse(body, size, &json, &e) < 0)
                return;
        bool draining = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "draining"));
        if (!condition_drain(g->condition, draining))
                return;
        journal_event(draining ? JOURNAL_DRAINING : JOURNAL_RESUMED,
                        &(JournalFields){.receiver = g->info->name}, "%s",
                        draining ? "Draining: new messages are refused until \"ackctl resume\""
                                 : "Taking messages again");
}

/* This host has another address now, and clients know the old one. */
static bool has_moved(Registration *g, const char *local_ip)
{
        const bool of_ipv6 = strchr(local_ip, ':');

        if (!self_needs_local_ip(g->config, g->listeners) || str_empty(local_ip) || str_empty(g->local_ip) ||
                        str_equal(g->local_ip, local_ip))
                return false;
        /* Where discovery has a name, requests may go over either family. */
        if (of_ipv6 != (strchr(g->local_ip, ':') != NULL) || str_replace(&g->local_ip, local_ip) < 0)
                return false;
        log_notice("The address of this host is %s now", local_ip);
        return true;
}

static void on_heartbeat(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Registration *g = userdata;
        JsonError e;

        g->request = NULL;
        if (status == 200) {
                (void) lease_parse(body, size, &g->lease_usec, &e);
                set_draining(g, body, size);
                if (g->failures > 0)
                        log_info("Discovery answers again");
                g->failures = 0;
                free_clear(&g->complaint);
                if (has_moved(g, local_ip))
                        registration_begin(g);
                else
                        later(g, g->lease_usec / 3, heartbeat);
        } else if (status > 0) {
                log_info("Discovery does not know this receiver: registering again");
                registration_begin(g);
        } else
                unreachable(g, heartbeat, error->text);
}

static void heartbeat(Registration *g)
{
        char id[SD_ID128_UUID_STRING_MAX];
        const uint32_t capacity = config_capacity(g->config);

        g->events.beat(g->userdata);
        if (g->info->capacity != capacity) {
                g->info->capacity = capacity;
                registration_begin(g);
                return;
        }
        _cleanup_free_ char *path = str_format(
                        "/v1/receivers/%s/heartbeat", sd_id128_to_uuid_string(g->identity.id, id));
        HttpCall call = {.method = "POST", .path = path, .token = token_of(g)};

        if (path)
                request(g, &call, on_heartbeat, heartbeat);
        else
                unreachable(g, heartbeat, "out of memory");
}

void registration_refresh(Registration *g)
{
        if (timer_is_armed(&g->timer) && g->next == heartbeat)
                later(g, 0, heartbeat);
}

static void serve(Registration *g)
{
        char id[SD_ID128_UUID_STRING_MAX], where[ADDRESS_STRING_MAX];

        if (!condition_is_stopping(g->condition))
                service_extend(g->service, false);
        g->condition->id = ID_OURS;
        (void) sd_id128_to_uuid_string(g->info->id, id);
        journal_event(JOURNAL_REGISTERED,
                        &(JournalFields){.receiver = g->info->name, .group = g->info->group},
                        "Registered as %s (%s) at %s", g->info->name, id,
                        address_format(g->info->addresses, where));
        notify_status("Serving as %s (%s)", g->info->name, id);
        loop_defer(g->loop, g->idle_check);
        if (!g->ready)
                notify_ready();
        g->ready = true;
        later(g, g->lease_usec / 3, heartbeat);
}

/* The identity is written, and the registration goes on with it. */
static bool is_stored(Registration *g, int result)
{
        if (condition_is_stopping(g->condition))
                return false;
        if (result >= 0) {
                g->identity = g->store.identity;
                return true;
        }
        _cleanup_free_ char *why = str_format("the identity cannot be written: %s", strerror(-result));

        try_later(g, registration_begin, why ?: "out of memory");
        return false;
}

static void on_stored(DbOp *op, int result)
{
        Registration *g = CONTAINER_OF(op, Registration, store.op);

        if (!is_stored(g, result))
                return;
        crash_point("identity-before-serving");
        g->info->id = g->identity.id;
        serve(g);
}

static bool identity_equal(const DedupIdentity *a, const DedupIdentity *b)
{
        return sd_id128_equal(a->id, b->id) && sd_id128_equal(a->instance, b->instance) &&
               sd_id128_equal(a->boot, b->boot) && a->lock_device == b->lock_device &&
               a->lock_inode == b->lock_inode && str_equal(a->token, b->token);
}

/* Takes the new identity, with the marks that prove at the next start that it was ours. */
static void accept_identity(Registration *g, const Registered *registered)
{
        DedupIdentity *identity = &g->store.identity;

        g->registered = true;
        g->failures = 0;
        g->dispute = 0;
        g->previous = SD_ID128_NULL;
        g->lease_usec = registered->lease_usec;
        if (g->condition->id == ID_DISPUTED)
                g->condition->id = ID_OURS;
        free_clear(&g->complaint);

        crash_point("registered-before-identity");
        dedup_identity_op_init(&g->store);
        g->store.op.done = on_stored;
        *identity = g->here;
        identity->id = registered->id;
        strcpy(identity->token, registered->token);
        if (identity_equal(identity, &g->identity))
                serve(g);
        else
                db_submit(g->db, &g->store.op);
}

/* Registration. */

static void on_status(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Registration *g = userdata;
        char lease[DURATION_MAX];
        JsonError e;

        g->request = NULL;
        if (status != 200 || lease_parse(body, size, &g->lease_usec, &e) < 0) {
                unreachable(g, registration_begin, status < 0 ? error->text : "it does not tell its status");
                return;
        }
        (void) str_replace(&g->local_ip, local_ip);
        if (g->dispute == 0) {
                registration_begin(g);
                return;
        }
        log_warning("This receiver's id is alive at another instance: waiting one lease of %s for it to "
                    "end",
                        format_duration(lease, g->lease_usec));
        notify_status("Waiting: another instance has this receiver's id");
        later(g, usec_add(g->lease_usec, DISPUTE_MARGIN_USEC), registration_begin);
}

static void ask_status(Registration *g)
{
        HttpCall call = {.method = "GET", .path = "/v1/status"};

        request(g, &call, on_status, registration_begin);
}

/* Another instance holds our id. A holder that has died leaves within one lease, or later if discovery
 * renewed all leases meanwhile; one that discovery has heard since the dispute began lives. */
static void on_dispute(Registration *g, uint64_t heard_usec)
{
        char id[SD_ID128_UUID_STRING_MAX];

        if (g->condition->id == ID_OURS)
                g->condition->id = ID_DISPUTED;
        if (g->dispute == 0 || usec_add(heard_usec, DISPUTE_MARGIN_USEC) >= g->asked - g->dispute) {
                g->dispute = g->dispute ?: now_usec(CLOCK_BOOTTIME);
                ask_status(g);
                return;
        }
        log_warning("The id %s is alive at another instance, so this state directory is a copy: "
                    "forgetting it and taking a new id",
                        sd_id128_to_uuid_string(g->identity.id, id));
        g->dispute = 0;
        g->previous = SD_ID128_NULL;
        g->events.disowned(g->userdata);
}

static void on_refused(Registration *g, int status, const char *body, size_t size)
{
        ApiError e;

        api_error_parse(body, size, &e);
        if (str_equal(e.code, "id-alive") || str_equal(e.code, "token-wrong") ||
                        str_equal(e.code, "token-missing")) {
                on_dispute(g, e.heard_usec);
                return;
        }
        _cleanup_free_ char *why =
                        str_equal(e.code, "name-taken")
                                        ? str_format("the name %s is taken by another live receiver",
                                                          g->info->name)
                                        : str_format("discovery refuses the registration (%d: %s)", status,
                                                          e.error.text);
        try_later(g, registration_begin, why ?: "out of memory");
}

/* The answer is lost, but discovery may have accepted the registration. Then the living holder of the id, as
 * discovery reports it, is this receiver itself: so the dispute starts again. */
static void lost(Registration *g, const char *why)
{
        g->dispute = 0;
        unreachable(g, registration_begin, why);
}

static void on_registered(int status, const char *body, size_t size, const char *local_ip,
                const Error *error, void *userdata)
{
        Registration *g = userdata;
        Registered registered;
        JsonError e = {};

        g->request = NULL;
        if (status < 0)
                lost(g, error->text);
        else if (status != 200 && status != 201)
                on_refused(g, status, body, size);
        else if (registered_parse(body, size, &registered, &e) < 0)
                lost(g, e.error.text);
        else
                accept_identity(g, &registered);
}

static void register_now(Registration *g)
{
        if (self_needs_local_ip(g->config, g->listeners) && !g->local_ip) {
                ask_status(g);
                return;
        }
        if (self_find_addresses(g->info, g->config, g->listeners, g->local_ip) < 0) {
                log_error("There is no address for clients%s: set Advertise=",
                                strchr(g->local_ip ?: "", ':') ? ", since 0.0.0.0 is of IPv4 and discovery "
                                                                 "is reached by IPv6"
                                                               : "");
                loop_exit(g->loop, EX_CONFIG);
                return;
        }
        g->info->id = g->identity.id;
        _cleanup_free_ char *body = registration_print(g->info, g->previous);
        HttpCall call = {.method = "POST", .path = "/v1/receivers", .token = token_of(g), .body = body};
        g->asked = now_usec(CLOCK_BOOTTIME);
        if (body)
                request(g, &call, on_registered, registration_begin);
        else
                unreachable(g, registration_begin, "out of memory");
}

static void on_chosen(DbOp *op, int result)
{
        Registration *g = CONTAINER_OF(op, Registration, store.op);

        if (is_stored(g, result))
                register_now(g);
}

/* Discovery lists the id as soon as it has the request. If it chose the id, and the answer was lost,
 * messages to this id would wait for ever. */
static void choose_id(Registration *g)
{
        dedup_identity_op_init(&g->store);
        g->store.op.done = on_chosen;
        g->store.identity = g->here;
        if (random_uuid(NULL, g->store.identity.id.bytes) < 0)
                unreachable(g, registration_begin, "no random numbers");
        else
                db_submit(g->db, &g->store.op);
}

void registration_begin(Registration *g)
{
        if (sd_id128_is_null(g->identity.id))
                choose_id(g);
        else
                register_now(g);
}

static void on_left(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Registration *g = userdata;

        g->request = NULL;
        g->events.left(g->userdata);
}

void registration_leave(Registration *g)
{
        char id[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *path =
                        str_format("/v1/receivers/%s", sd_id128_to_uuid_string(g->identity.id, id));
        HttpCall call = {.method = "DELETE",
                        .path = path,
                        .token = token_of(g),
                        .timeout_usec = LEAVE_TIMEOUT_USEC};

        timer_disarm(&g->timer);
        if (g->request)
                g->request = http_request_cancel(g->request);
        if (!g->registered || !path ||
                        http_client_request(g->http, &g->server, &call, on_left, g, &g->request) < 0)
                g->events.left(g->userdata);
}

void registration_forget(Registration *g)
{
        g->identity = (DedupIdentity){};
        g->info->id = SD_ID128_NULL;
        g->condition->id = ID_NONE;
}

static bool is_same_directory(const DedupIdentity *a, const DedupIdentity *b)
{
        return !sd_id128_is_null(a->boot) && sd_id128_equal(a->boot, b->boot) &&
               a->lock_device == b->lock_device && a->lock_inode == b->lock_inode;
}

int registration_init(Registration *g)
{
        char where[ADDRESS_STRING_MAX];
        int r;

        g->lease_usec = LEASE_DEFAULT_USEC;
        g->info->id = g->identity.id;
        g->condition->id = token_of(g) ? ID_OURS : ID_NONE;
        if (is_same_directory(&g->here, &g->identity))
                g->previous = g->identity.instance;
        r = http_client_new(g->loop, &g->http);
        if (r >= 0)
                r = timer_init(&g->timer, g->loop, "registration", on_timer, g);
        if (r < 0)
                return r;
        service_extend(g->service, true); /* while we wait for discovery */
        notify_status("Waiting for discovery at %s", address_format(&g->server, where));
        return 0;
}

void registration_clear(Registration *g)
{
        http_client_free(g->http);
        timer_clear(&g->timer);
        free(g->complaint);
        free(g->local_ip);
}
