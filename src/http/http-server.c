/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-server.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/buffer.h"
#include "base/str-util.h"
#include "http/http-answer.h"
#include "http/http-host.h"
#include "http/http-refusal.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

#define CONNECTIONS_MAX    4096u
#define CONNECTION_MEMORY  (8u << 10) /* for the request line and the headers; zeroed for each request */
#define CONNECTION_TIMEOUT 30u        /* seconds */

#define TICK_USEC USEC_PER_SEC
#define SMALL_MAX 1000u
#define IDLE_MAX  256u /* exchanges kept for later requests */

struct HttpExchange {
        HttpServer *server;
        struct MHD_Connection *connection;
        HttpMatch match;
        unsigned status; /* not 200: it is refused, and its function is not called */
        bool suspended, replied;
        HttpExchange *prev, *next; /* in the list of suspended ones, or of idle ones */
        size_t body_size;
        Buffer large; /* a body that does not fit into `body` */
        char body[SMALL_MAX];
};

struct HttpServer {
        struct MHD_Daemon *daemon;
        Loop *loop;
        Watch watch;
        LoopWork again; /* lets MHD go on with what it has not finished */
        Timer timer;
        HttpService service;
        HttpExchange *suspended, *idle;
        size_t n_idle;
        bool is_loopback;    /* it listens on loopback only */
        unsigned n_loopback; /* connections from this host over TCP */
};

static void log_nothing(void *userdata, const char *format, va_list ap)
{
}

/* Lets MHD do what is ready, then asks it when it wants to be called again. Only the answer 0 means that
 * some work is left. */
static void pump(void *userdata)
{
        HttpServer *s = userdata;
        MHD_UNSIGNED_LONG_LONG ms;

        (void) MHD_run(s->daemon);
        if (MHD_get_timeout(s->daemon, &ms) == MHD_NO)
                timer_disarm(&s->timer);
        else if (ms == 0)
                loop_defer(s->loop, &s->again);
        else if (!timer_is_armed(&s->timer))
                /* MHD needs this time only to close idle connections. Their order does not change, so the
                 * timer is not set again for each request. */
                (void) timer_arm_in(&s->timer, ms * USEC_PER_MSEC);
}

static void on_ready(uint32_t events, void *userdata)
{
        pump(userdata);
}

const char *http_argument(const HttpExchange *x)
{
        return x->match.argument;
}

const char *http_body(const HttpExchange *x, size_t *ret_size)
{
        *ret_size = x->body_size;
        return x->body_size > SMALL_MAX ? (const char *) buffer_peek(&x->large) : x->body;
}

const char *http_query(const HttpExchange *x, const char *name)
{
        return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

typedef struct QueryEach {
        const char *name;
        bool (*fn)(const char *value, void *userdata);
        void *userdata;
} QueryEach;

static enum MHD_Result on_query(void *userdata, enum MHD_ValueKind kind, const char *key, const char *value)
{
        QueryEach *each = userdata;

        if (!str_equal(key, each->name))
                return MHD_YES;
        return each->fn(value ?: "", each->userdata) ? MHD_YES : MHD_NO;
}

void http_query_each(const HttpExchange *x, const char *name, bool (*fn)(const char *value, void *userdata),
                void *userdata)
{
        QueryEach each = {name, fn, userdata};

        (void) MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, on_query, &each);
}

const char *http_bearer(const HttpExchange *x)
{
        const char *value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Authorization");

        return value ? str_after_prefix(value, "Bearer ") : NULL;
}

bool http_is_local(const HttpExchange *x)
{
        return x->server->service.local;
}

const char *http_header(const HttpExchange *x, const char *name)
{
        return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* MHD 0.9.75 does not see by itself that a connection was resumed; it must be run again. */
static void give(HttpExchange *x, unsigned status, struct MHD_Response *response)
{
        assert(!x->replied);
        x->replied = true;
        if (response)
                (void) MHD_queue_response(x->connection, status, response);
        if (x->suspended) {
                x->suspended = false;
                DL_DELETE(x->server->suspended, x);
                MHD_resume_connection(x->connection);
                loop_defer(x->server->loop, &x->server->again);
        }
}

void http_give(HttpExchange *x, const HttpAnswer *a)
{
        give(x, a->status, a->response);
}

void http_reply(HttpExchange *x, unsigned status, char *json)
{
        struct MHD_Response *response = MHD_create_response_from_buffer(json ? strlen(json) : 0,
                        json ?: (void *) "", json ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);

        if (!response)
                free(json);
        else if (json)
                (void) MHD_add_response_header(response, "Content-Type", "application/json");
        if (response && status == 405)
                (void) MHD_add_response_header(response, "Allow", x->match.allow);
        give(x, status, response);
        if (response)
                MHD_destroy_response(response);
}

static void refuse(HttpExchange *x)
{
        unsigned status;
        char *json = http_refusal(x->status, &status);

        http_reply(x, status, json);
}

static HttpExchange *exchange_new(HttpServer *s)
{
        HttpExchange *x = s->idle;

        if (!x)
                return malloc(sizeof *x);
        DL_DELETE(s->idle, x);
        s->n_idle--;
        return x;
}

static void exchange_free(HttpExchange *x)
{
        HttpServer *s = x->server;

        buffer_clear(&x->large);
        if (s->n_idle >= IDLE_MAX) {
                free(x);
                return;
        }
        DL_PREPEND(s->idle, x);
        s->n_idle++;
}

/* A web page in a browser of this host can send requests to loopback, in the name of its user. The browser
 * adds an Origin to those that change something; and a page that reads has to come from a name that points
 * to loopback. 0: it is none. */
static unsigned status_for_page(const HttpExchange *x)
{
        const char *host = http_header(x, "Host");

        if (http_header(x, "Origin"))
                return 403;
        return x->server->is_loopback && host && !http_host_is_own(host) ? 421 : 0;
}

static HttpExchange *exchange_begin(
                HttpServer *s, struct MHD_Connection *connection, const char *path, const char *method)
{
        HttpExchange *x = exchange_new(s);

        if (!x)
                return NULL;
        memset(x, 0, offsetof(HttpExchange, body));
        x->server = s;
        x->connection = connection;
        x->status = (unsigned) http_route_find(
                        s->service.routes, s->service.n_routes, method, path, &x->match);
        x->status = status_for_page(x) ?: x->status;
        return x;
}

static bool is_json(const HttpExchange *x)
{
        const char *type = http_header(x, "Content-Type");

        return type && strncasecmp(type, "application/json", STRLEN("application/json")) == 0;
}

static int append_body(HttpExchange *x, const char *data, size_t n)
{
        if (x->body_size + n <= SMALL_MAX)
                memcpy(x->body + x->body_size, data, n);
        else if ((buffer_size(&x->large) == 0 && buffer_append(&x->large, x->body, x->body_size) < 0) ||
                        buffer_append(&x->large, data, n) < 0)
                return -ENOMEM;
        x->body_size += n;
        return 0;
}

static void exchange_take(HttpExchange *x, const char *data, size_t n)
{
        if (x->status != 200)
                return;
        if (x->match.route->body_max > 0 && !is_json(x))
                x->status = 415;
        else if (n > x->match.route->body_max || x->body_size > x->match.route->body_max - n)
                x->status = 413;
        else if (append_body(x, data, n) < 0)
                x->status = 503;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *path,
                const char *method, const char *version, const char *data, size_t *size, void **exchange)
{
        HttpServer *s = userdata;
        HttpExchange *x = *exchange;

        if (!x) {
                *exchange = exchange_begin(s, connection, path, method);
                return *exchange ? MHD_YES : MHD_NO;
        }
        if (*size > 0) {
                exchange_take(x, data, *size);
                *size = 0;
                return MHD_YES;
        }
        if (x->replied)
                return MHD_YES;
        if (x->status != 200)
                refuse(x);
        else
                x->match.route->fn(x, s->service.userdata);
        if (!x->replied) {
                x->suspended = true;
                DL_APPEND(s->suspended, x);
                MHD_suspend_connection(connection);
        }
        return MHD_YES;
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **exchange,
                enum MHD_RequestTerminationCode code)
{
        HttpExchange *x = *exchange;

        if (x)
                exchange_free(x);
        *exchange = NULL;
}

/* All loopback addresses count as one, since a process of this host may use any of them. */
static bool is_loopback(const struct sockaddr *address)
{
        const struct sockaddr_in *v4 = (const void *) address;
        const struct sockaddr_in6 *v6 = (const void *) address;

        switch (address->sa_family) {
        case AF_INET:
                return ntohl(v4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
        case AF_INET6:
                return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
                       (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
        default:
                return false;
        }
}

static bool listens_on_loopback(int fd)
{
        struct sockaddr_storage address;
        socklen_t size = sizeof address;

        return getsockname(fd, (struct sockaddr *) &address, &size) == 0 &&
               is_loopback((const struct sockaddr *) &address);
}

/* MHD counts connections of each address. Those of loopback are counted here, all together. */
static enum MHD_Result on_accept(void *userdata, const struct sockaddr *address, socklen_t size)
{
        const HttpServer *s = userdata;
        const unsigned max = s->service.connections_per_address;

        return max == 0 || s->n_loopback < max || !is_loopback(address) ? MHD_YES : MHD_NO;
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **counted,
                enum MHD_ConnectionNotificationCode code)
{
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        HttpServer *s = userdata;

        if (code == MHD_CONNECTION_NOTIFY_STARTED && info && is_loopback(info->client_addr)) {
                s->n_loopback++;
                *counted = s;
        } else if (code == MHD_CONNECTION_NOTIFY_CLOSED && *counted)
                s->n_loopback--;
}

/* Accepted sockets inherit the size of the send buffer. Autotuning let each buffer grow to megabytes and
 * halved the throughput, so the size is fixed. The kernel doubles this number. */
static void bound_unsent(int listener)
{
        const int size = 208 << 10;

        (void) setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int http_server_new(Loop *loop, int fd, const HttpService *service, HttpServer **ret)
{
        int r;

        _cleanup_(http_server_freep) HttpServer *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->loop = loop;
        s->service = *service;
        s->again = (LoopWork){.run = pump, .userdata = s};

        /* MHD closes its copy; the caller keeps its own. */
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        bound_unsent(copy);
        s->is_loopback = listens_on_loopback(copy);
        s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
                        on_accept, s, on_request, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                        MHD_OPTION_EXTERNAL_LOGGER, log_nothing, NULL, MHD_OPTION_LISTEN_SOCKET, copy,
                        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
                        CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY,
                        MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
                        1, /* the loop ignores SIGPIPE; without this MHD uses no sendfile() */
                        MHD_OPTION_PER_IP_CONNECTION_LIMIT, service->connections_per_address,
                        MHD_OPTION_END);
        if (!s->daemon)
                return -EIO;

        int epoll = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        r = watch_start(&s->watch, loop, epoll, EPOLLIN, on_ready, s);
        if (r < 0)
                return r;
        r = timer_init(&s->timer, loop, "http-server", pump, s);
        if (r < 0)
                return r;
        pump(s);
        *ret = TAKE_PTR(s);
        return 0;
}

/* MHD aborts the process when it is stopped with a suspended connection. MHD_run() resumes the suspended
 * ones, but may also suspend new requests, so this repeats until none is left. */
HttpServer *http_server_free(HttpServer *s)
{
        if (!s)
                return NULL;
        do {
                while (s->suspended) {
                        s->suspended->status = 503;
                        refuse(s->suspended);
                }
                if (s->daemon)
                        (void) MHD_run(s->daemon);
        } while (s->suspended);
        loop_cancel(s->loop, &s->again);
        watch_stop(&s->watch);
        timer_clear(&s->timer);
        if (s->daemon)
                MHD_stop_daemon(s->daemon);
        for (HttpExchange *x; (x = s->idle);) {
                DL_DELETE(s->idle, x);
                free(x);
        }
        free(s);
        return NULL;
}
