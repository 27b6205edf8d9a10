/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/registration.h"

#include <errno.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "http/http-client.h"
#include "model/backoff.h"
#include "receiver/receiver.h"
#include "runtime/journal.h"
#include "runtime/notify.h"
#include "wire/registration-json.h"

#define LEAVE_TIMEOUT_USEC (2 * USEC_PER_SEC)
/* Longer than the lease by what timers and a busy host may add; and what a dead holder had said last may be
 * read by discovery so much later. */
#define DISPUTE_MARGIN_USEC (500 * USEC_PER_MSEC)

struct Register {
        Receiver *receiver;
        Address server;
        HttpClient *http;
        HttpRequest *request; /* at most one is under way */
        Timer timer;
        void (*next)(Register *g); /* what the timer begins */
        unsigned failures;         /* in a row */
        char *complaint;           /* the last one that was logged */
        uint64_t lease_usec;
        uint64_t asked;      /* when the last registration was sent; CLOCK_BOOTTIME */
        sd_id128_t previous; /* the instance that we have replaced for certain */
        uint64_t dispute;    /* since when our id is another's; 0: it is not */
        char *local_ip;      /* by which discovery is reached; "" over a Unix socket, NULL: not known yet */
        bool registered;
        DedupIdentityOp store;
        void (*left)(Receiver *r);
};

static void on_timer(void *userdata)
{
        Register *g = userdata;

        g->next(g);
}

static void later(Register *g, uint64_t usec, void (*next)(Register *g))
{
        g->next = next;
        (void) timer_arm_in(&g->timer, usec);
}

/* A discovery that comes back gives us one lease to be heard of. While its length is not known, it may be as
 * short as it can be configured. */
static Backoff backoff_within_lease(const Register *g)
{
        Backoff b = BACKOFF_CONNECT;

        b.max_usec = MIN(b.max_usec, (g->lease_usec ?: LEASE_MIN_USEC) / 3);
        return b;
}

/* Says once what stands in the way, and tries again for ever. */
static void try_later(Register *g, void (*next)(Register *g), const char *why)
{
        const Backoff b = backoff_within_lease(g);

        if (!g->complaint || !str_equal(g->complaint, why)) {
                log_warning("%s; trying again until it works", why);
                (void) str_replace(&g->complaint, why);
        }
        notify_status("%s: %s", g->registered ? "Serving" : "Waiting for discovery", why);
        later(g, backoff_delay(&b, ++g->failures, random_u64()), next);
}

static void unreachable(Register *g, void (*next)(Register *g), const char *why)
{
        char where[ADDRESS_STRING_MAX];
        _cleanup_free_ char *text = str_format(
                        "discovery at %s cannot be asked (%s)", address_format(&g->server, where), why);

        try_later(g, next, text ?: "out of memory");
}

/* One request at a time; `done` clears g->request first. */
static void request(Register *g, const HttpCall *call, HttpDone done, void (*again)(Register *g))
{
        int r = http_client_request(g->http, &g->server, call, done, g, &g->request);

        if (r < 0)
                unreachable(g, again, strerror(-r));
}

static const char *token_of(const Register *g)
{
        const char *token = g->receiver->identity.token;

        return token[0] ? token : NULL;
}

/* Addresses. */

static bool has_wildcard(const Receiver *r)
{
        for (size_t i = 0; i < r->listeners.n; i++)
                if (address_is_wildcard(&r->listeners.listeners[i].address))
                        return true;
        return false;
}

static void add_address(ReceiverInfo *info, const Address *a)
{
        if (info->n_addresses < ADDRESSES_MAX)
                info->addresses[info->n_addresses++] = *a;
}

static void add_listeners(Register *g, AddressKind kind)
{
        Receiver *r = g->receiver;

        for (size_t i = 0; i < r->listeners.n; i++) {
                Address a = r->listeners.listeners[i].address;

                if (a.kind != kind)
                        continue;
                if (address_is_wildcard(&a)) {
                        if (str_empty(g->local_ip) || strlen(g->local_ip) >= sizeof a.host)
                                continue;
                        strcpy(a.host, g->local_ip);
                }
                add_address(&r->info, &a);
        }
}

/* What is configured, or where we listen: Unix sockets first, they are the nearest. */
static int find_addresses(Register *g)
{
        Receiver *r = g->receiver;
        Address a;

        r->info.n_addresses = 0;
        for (char **s = r->advertise; s && *s; s++)
                if (address_parse(*s, &a, NULL) >= 0)
                        add_address(&r->info, &a);
        if (strv_length(r->advertise) == 0) {
                add_listeners(g, ADDRESS_UNIX);
                add_listeners(g, ADDRESS_TCP);
        }
        return r->info.n_addresses > 0 ? 0 : -EADDRNOTAVAIL;
}

/* The lease. */

static void heartbeat(Register *g);

static void set_draining(Receiver *r, const char *body, size_t size)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        JsonError e = {};

        if (json_parse(body, size, &json, &e) < 0)
                return;
        bool draining = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "draining"));
        if (draining == r->draining)
                return;
        r->draining = draining;
        journal_event(draining ? JOURNAL_DRAINING : JOURNAL_RESUMED,
                        &(JournalFields){.receiver = r->info.name}, "%s",
                        draining ? "Draining: new messages are refused until \"ackctl resume\""
                                 : "Taking messages again");
}

static void on_heartbeat(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Register *g = userdata;
        JsonError e;

        g->request = NULL;
        if (status == 200) {
                (void) lease_parse(body, size, &g->lease_usec, &e);
                set_draining(g->receiver, body, size);
                if (g->failures > 0)
                        log_info("Discovery answers again");
                g->failures = 0;
                free_clear(&g->complaint);
                later(g, g->lease_usec / 3, heartbeat);
        } else if (status > 0) {
                log_info("Discovery does not know this receiver any more: registering again");
                register_begin(g);
        } else
                unreachable(g, heartbeat, error->text);
}

static void heartbeat(Register *g)
{
        char id[SD_ID128_UUID_STRING_MAX];
        Receiver *r = g->receiver;

        if (r->info.capacity != receiver_capacity(r)) {
                r->info.capacity = receiver_capacity(r);
                register_begin(g);
                return;
        }
        _cleanup_free_ char *path = str_format(
                        "/v1/receivers/%s/heartbeat", sd_id128_to_uuid_string(r->identity.id, id));
        HttpCall call = {.method = "POST", .path = path, .token = token_of(g)};

        if (path)
                request(g, &call, on_heartbeat, heartbeat);
        else
                unreachable(g, heartbeat, "out of memory");
}

void register_renew(Register *g)
{
        if (g->registered && !g->request && g->next == heartbeat)
                later(g, 0, heartbeat);
}

static void serve(Register *g)
{
        char id[SD_ID128_UUID_STRING_MAX], where[ADDRESS_STRING_MAX];
        Receiver *r = g->receiver;

        if (!r->stopping)
                service_extend(&r->service, false);
        (void) sd_id128_to_uuid_string(r->info.id, id);
        journal_event(JOURNAL_REGISTERED, &(JournalFields){.receiver = r->info.name, .group = r->info.group},
                        "Registered as %s (%s) at %s", r->info.name, id,
                        address_format(r->info.addresses, where));
        notify_status("Serving as %s (%s)", r->info.name, id);
        receiver_accept(r, true);
        notify_ready();
        later(g, g->lease_usec / 3, heartbeat);
}

static void on_stored(DbOp *op, int result)
{
        Register *g = CONTAINER_OF(op, Register, store.op);
        Receiver *r = g->receiver;

        if (r->stopping)
                return;
        if (result < 0) {
                _cleanup_free_ char *why =
                                str_format("the identity cannot be written: %s", strerror(-result));
                try_later(g, register_begin, why ?: "out of memory");
                return;
        }
        crash_point("identity-before-serving");
        r->identity = g->store.identity;
        r->info.id = r->identity.id;
        serve(g);
}

static bool identity_equal(const DedupIdentity *a, const DedupIdentity *b)
{
        return sd_id128_equal(a->id, b->id) && sd_id128_equal(a->instance, b->instance) &&
               sd_id128_equal(a->boot, b->boot) && a->lock_device == b->lock_device &&
               a->lock_inode == b->lock_inode && str_equal(a->token, b->token);
}

/* Who we are from now on, and what proves at the next start that this was us. */
static void accept_identity(Register *g, const Registered *registered)
{
        Receiver *r = g->receiver;
        DedupIdentity *identity = &g->store.identity;

        g->registered = true;
        g->failures = 0;
        g->dispute = 0;
        g->previous = SD_ID128_NULL;
        g->lease_usec = registered->lease_usec;
        r->disputed = false;
        free_clear(&g->complaint);

        crash_point("registered-before-identity");
        dedup_identity_op_init(&g->store);
        g->store.op.done = on_stored;
        *identity = (DedupIdentity){.id = registered->id, .instance = r->info.instance};
        strcpy(identity->token, registered->token);
        (void) sd_id128_get_boot(&identity->boot);
        (void) db_lock_identity(r->db, &identity->lock_device, &identity->lock_inode);
        if (identity_equal(identity, &r->identity))
                serve(g);
        else
                db_submit(r->db, &g->store.op);
}

/* Registration. */

static void on_status(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Register *g = userdata;
        char lease[DURATION_MAX];
        JsonError e;

        g->request = NULL;
        if (status != 200 || lease_parse(body, size, &g->lease_usec, &e) < 0) {
                unreachable(g, register_begin, status < 0 ? error->text : "it does not tell its status");
                return;
        }
        (void) str_replace(&g->local_ip, local_ip);
        if (g->dispute == 0) {
                register_begin(g);
                return;
        }
        log_warning("This receiver's id is alive at another instance: waiting one lease of %s for that to "
                    "end",
                        format_duration(lease, g->lease_usec));
        notify_status("Waiting for discovery: our id is alive at another instance");
        later(g, usec_add(g->lease_usec, DISPUTE_MARGIN_USEC), register_begin);
}

static void ask_status(Register *g)
{
        HttpCall call = {.method = "GET", .path = "/v1/status"};

        request(g, &call, on_status, register_begin);
}

/* Somebody else holds our id. A holder that has died leaves within one lease, or later when discovery made
 * all leases fresh meanwhile; one that was heard since then lives. */
static void on_dispute(Register *g, uint64_t heard_usec)
{
        Receiver *r = g->receiver;
        char id[SD_ID128_UUID_STRING_MAX];

        r->disputed = true;
        if (g->dispute == 0 || usec_add(heard_usec, DISPUTE_MARGIN_USEC) >= g->asked - g->dispute) {
                g->dispute = g->dispute ?: now_usec(CLOCK_BOOTTIME);
                ask_status(g);
                return;
        }
        log_warning("The id %s is alive at another instance, which discovery has heard, so this state "
                    "directory is a copy of its: forgetting it and taking a fresh id",
                        sd_id128_to_uuid_string(r->identity.id, id));
        g->dispute = 0;
        g->previous = SD_ID128_NULL;
        receiver_become_new(r);
}

static void on_refused(Register *g, int status, const char *body, size_t size)
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
                                                          g->receiver->info.name)
                                        : str_format("discovery refuses the registration (%d: %s)", status,
                                                          e.error.text);
        try_later(g, register_begin, why ?: "out of memory");
}

/* Should discovery have taken it, then the holder that it has heard is us. */
static void lost(Register *g, const char *why)
{
        g->dispute = 0;
        unreachable(g, register_begin, why);
}

static void on_registered(int status, const char *body, size_t size, const char *local_ip,
                const Error *error, void *userdata)
{
        Register *g = userdata;
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

void register_begin(Register *g)
{
        Receiver *r = g->receiver;

        if (has_wildcard(r) && strv_length(r->advertise) == 0 && !g->local_ip) {
                ask_status(g);
                return;
        }
        if (find_addresses(g) < 0) {
                log_error("There is no address to tell discovery: give one by Advertise=");
                loop_exit(r->loop, EXIT_FAILURE);
                return;
        }
        r->info.id = r->identity.id;
        _cleanup_free_ char *body = registration_print(&r->info, g->previous);
        HttpCall call = {.method = "POST", .path = "/v1/receivers", .token = token_of(g), .body = body};
        g->asked = now_usec(CLOCK_BOOTTIME);
        if (body)
                request(g, &call, on_registered, register_begin);
        else
                unreachable(g, register_begin, "out of memory");
}

static void on_left(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Register *g = userdata;

        g->request = NULL;
        g->left(g->receiver);
}

void register_leave(Register *g, void (*left)(Receiver *r))
{
        char id[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *path = str_format(
                        "/v1/receivers/%s", sd_id128_to_uuid_string(g->receiver->identity.id, id));
        HttpCall call = {.method = "DELETE",
                        .path = path,
                        .token = token_of(g),
                        .timeout_usec = LEAVE_TIMEOUT_USEC};

        timer_disarm(&g->timer);
        if (g->request)
                g->request = http_request_cancel(g->request);
        g->left = left;
        if (!g->registered || !path ||
                        http_client_request(g->http, &g->server, &call, on_left, g, &g->request) < 0)
                left(g->receiver);
}

/* The holder of our id at discovery may be claimed to be dead only by who holds the very lock that it held,
 * in the same boot; a copy of the directory has another lock file. */
static void find_previous(Register *g)
{
        const DedupIdentity *identity = &g->receiver->identity;
        sd_id128_t boot;
        uint64_t device, inode;

        if (sd_id128_get_boot(&boot) >= 0 && sd_id128_equal(boot, identity->boot) &&
                        db_lock_identity(g->receiver->db, &device, &inode) >= 0 &&
                        device == identity->lock_device && inode == identity->lock_inode)
                g->previous = identity->instance;
}

int register_new(Receiver *r, Register **ret, Error *error)
{
        char where[ADDRESS_STRING_MAX];
        Register *g = calloc(1, sizeof *g);
        int x;

        if (!g)
                return -ENOMEM;
        g->receiver = r;
        g->lease_usec = LEASE_DEFAULT_USEC;
        *ret = g;
        x = address_parse_url(r->discovery, &g->server, error);
        if (x < 0)
                return x;
        r->info.addresses = calloc(ADDRESSES_MAX, sizeof *r->info.addresses);
        if (!r->info.addresses)
                return -ENOMEM;
        x = http_client_new(r->loop, &g->http);
        if (x >= 0)
                x = timer_init(&g->timer, r->loop, "register", on_timer, g);
        if (x < 0)
                return x;
        find_previous(g);
        service_extend(&r->service, true); /* while we wait for discovery */
        notify_status("Waiting for discovery at %s", address_format(&g->server, where));
        return 0;
}

Register *register_free(Register *g)
{
        if (!g)
                return NULL;
        http_client_free(g->http);
        timer_clear(&g->timer);
        free(g->complaint);
        free(g->local_ip);
        free(g);
        return NULL;
}
