/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/buffer.h"
#include "base/fd-util.h"
#include "base/str-util.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

#define BODY_DEFAULT_MAX     ((size_t) 16 << 20)
#define TIMEOUT_DEFAULT_USEC (10 * USEC_PER_SEC)
#define CONNECT_DEFAULT_USEC (3 * USEC_PER_SEC)

struct HttpRequest {
        HttpClient *client;
        CURL *easy;
        struct curl_slist *headers;
        Buffer body;
        size_t body_max;
        bool too_large;
        char message[CURL_ERROR_SIZE];
        HttpDone done;
        void *userdata;
        HttpRequest *prev, *next;
};

struct HttpClient {
        Loop *loop;
        CURLM *multi;
        Timer timer;
        HttpRequest *requests;
};

/* One of curl's sockets. The loop watches a duplicate of it. curl closes an unconnected socket before it
 * tells us; while a child that was just forked still holds the socket open, it would stay in the loop. */
typedef struct Socket {
        HttpClient *client;
        curl_socket_t fd; /* curl's */
        int own;
        Watch watch;
} Socket;

static HttpRequest *request_free(HttpRequest *q)
{
        if (q->easy) {
                (void) curl_multi_remove_handle(q->client->multi, q->easy);
                curl_easy_cleanup(q->easy);
        }
        curl_slist_free_all(q->headers);
        buffer_clear(&q->body);
        free(q);
        return NULL;
}

HttpRequest *http_request_cancel(HttpRequest *q)
{
        if (!q)
                return NULL;
        DL_DELETE(q->client->requests, q);
        return request_free(q);
}

static size_t on_write(char *data, size_t size, size_t n, void *userdata)
{
        HttpRequest *q = userdata;

        if (size * n > q->body_max - buffer_size(&q->body)) {
                q->too_large = true;
                return 0;
        }
        return buffer_append(&q->body, data, size * n) < 0 ? 0 : size * n;
}

/* curl's own texts for these two contain milliseconds, so they would differ each time. */
static const char *text_of(const HttpRequest *q, CURLcode code)
{
        long os_errno = 0;

        if (code == CURLE_OPERATION_TIMEDOUT)
                return strerror(ETIMEDOUT);
        if (code == CURLE_COULDNT_CONNECT)
                (void) curl_easy_getinfo(q->easy, CURLINFO_OS_ERRNO, &os_errno);
        if (os_errno > 0)
                return strerror((int) os_errno);
        return q->message[0] ? q->message : curl_easy_strerror(code);
}

static int status_of(HttpRequest *q, CURLcode code, Error *error)
{
        static const struct {
                CURLcode code;
                int r;
        } table[] = {
                        {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT},
                        {CURLE_COULDNT_CONNECT, -ECONNREFUSED},
                        {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH},
                        {CURLE_OUT_OF_MEMORY, -ENOMEM},
                        {CURLE_GOT_NOTHING, -ECONNRESET},
                        {CURLE_RECV_ERROR, -ECONNRESET},
                        {CURLE_SEND_ERROR, -ECONNRESET},
        };
        long status = 0;

        if (code == CURLE_OK) {
                (void) curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
                return (int) status;
        }
        if (q->too_large)
                return error_set(error, -EMSGSIZE, "the answer is larger than %zu bytes", q->body_max);
        const char *text = text_of(q, code);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].code == code)
                        return error_set(error, table[i].r, "%s", text);
        return error_set(error, -EIO, "%s", text);
}

/* `done` may start and cancel other requests, but not free the client. */
static void finish(HttpRequest *q, CURLcode code)
{
        Error error = {};
        const char *ip = NULL;
        char local_ip[64] = "";
        int status = status_of(q, code, &error);

        (void) curl_easy_getinfo(q->easy, CURLINFO_LOCAL_IP, &ip);
        if (ip && strlen(ip) < sizeof local_ip)
                strcpy(local_ip, ip);

        uint8_t *end = buffer_reserve(&q->body, 1);
        if (!end)
                status = error_set(&error, -ENOMEM, "out of memory");
        else
                *end = '\0';

        DL_DELETE(q->client->requests, q);
        q->done(status, end ? (const char *) buffer_peek(&q->body) : "", end ? buffer_size(&q->body) : 0,
                        local_ip, &error, q->userdata);
        request_free(q);
}

static void act(HttpClient *c, curl_socket_t fd, int events)
{
        int running, left;
        CURLMsg *message;

        (void) curl_multi_socket_action(c->multi, fd, events, &running);
        while ((message = curl_multi_info_read(c->multi, &left))) {
                char *userdata = NULL;

                if (message->msg != CURLMSG_DONE)
                        continue;
                CURLcode code = message->data.result;
                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &userdata);
                finish((HttpRequest *) (void *) userdata, code);
        }
}

static void on_ready(uint32_t ready, void *userdata)
{
        const Socket *k = userdata;
        int events = 0;

        if (ready & (EPOLLIN | EPOLLHUP))
                events |= CURL_CSELECT_IN;
        if (ready & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (ready & EPOLLERR)
                events |= CURL_CSELECT_ERR;
        act(k->client, k->fd, events);
}

static void on_timer(void *userdata)
{
        act(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static Socket *socket_free(Socket *k)
{
        if (!k)
                return NULL;
        watch_stop(&k->watch);
        (void) close_clear(&k->own);
        free(k);
        return NULL;
}

static Socket *socket_new(HttpClient *c, curl_socket_t fd, uint32_t events)
{
        Socket *k = calloc(1, sizeof *k);

        if (!k)
                return NULL;
        k->client = c;
        k->fd = fd;
        k->own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (k->own < 0 || watch_start(&k->watch, c->loop, k->own, events, on_ready, k) < 0)
                return socket_free(k);
        return k;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data)
{
        static const uint32_t masks[] = {
                        [CURL_POLL_NONE] = 0,
                        [CURL_POLL_IN] = EPOLLIN,
                        [CURL_POLL_OUT] = EPOLLOUT,
                        [CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT,
        };
        HttpClient *c = userdata;
        Socket *k = socket_data;

        if (what == CURL_POLL_REMOVE) {
                socket_free(k);
                (void) curl_multi_assign(c->multi, fd, NULL);
                return 0;
        }
        if (k) {
                watch_change(&k->watch, masks[what]);
                return 0;
        }
        k = socket_new(c, fd, masks[what]);
        if (!k)
                return -1;
        (void) curl_multi_assign(c->multi, fd, k);
        return 0;
}

/* Close-on-exec: child processes shall not have it. */
static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Only arms the timer: curl must not be called from here. */
static int on_timeout_change(CURLM *multi, long ms, void *userdata)
{
        HttpClient *c = userdata;

        return timer_arm_in(&c->timer, ms < 0 ? USEC_INFINITY : (uint64_t) ms * USEC_PER_MSEC) < 0 ? -1 : 0;
}

int http_client_new(Loop *loop, HttpClient **ret)
{
        int r;

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        _cleanup_(http_client_freep) HttpClient *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->loop = loop;
        r = timer_init(&c->timer, loop, "http-client", on_timer, c);
        if (r < 0)
                return r;
        c->multi = curl_multi_init();
        if (!c->multi)
                return -ENOMEM;
        (void) curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        (void) curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        (void) curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
        (void) curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        *ret = TAKE_PTR(c);
        return 0;
}

HttpClient *http_client_free(HttpClient *c)
{
        if (!c)
                return NULL;
        while (c->requests)
                http_request_cancel(c->requests);
        if (c->multi)
                (void) curl_multi_cleanup(c->multi);
        timer_clear(&c->timer);
        free(c);
        return NULL;
}

static int set_headers(HttpRequest *q, const HttpCall *call)
{
        _cleanup_free_ char *authorization = NULL;
        struct curl_slist *list;

        q->headers = curl_slist_append(NULL, "Content-Type: application/json");
        if (!q->headers)
                return -ENOMEM;
        if (!call->token)
                return 0;
        authorization = str_format("Authorization: Bearer %s", call->token);
        list = authorization ? curl_slist_append(q->headers, authorization) : NULL;
        if (!list)
                return -ENOMEM;
        q->headers = list;
        return 0;
}

static int set_options(HttpRequest *q, const Address *server, const HttpCall *call)
{
        char text[ADDRESS_STRING_MAX];
        _cleanup_free_ char *url = NULL;
        uint64_t timeout = call->timeout_usec > 0 ? call->timeout_usec : TIMEOUT_DEFAULT_USEC;
        uint64_t connect = call->connect_usec > 0 ? call->connect_usec : CONNECT_DEFAULT_USEC;
        const char *body = !call->body && str_equal(call->method, "POST") ? "" : call->body;
        CURL *e = q->easy;

        const char *host = server->kind == ADDRESS_UNIX ? "localhost"
                                                        : address_format(server, text) + strlen("tcp:");
        url = str_format("http://%s%s", host, call->path);
        if (!url)
                return -ENOMEM;

        CURLcode failed = curl_easy_setopt(e, CURLOPT_URL, url);
        failed |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
        if (server->kind == ADDRESS_UNIX)
                failed |= curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, server->host);
        failed |= curl_easy_setopt(e, CURLOPT_PROXY, "");
        if (body)
                failed |= curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body);
        failed |= curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
        failed |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, q->headers);
        failed |= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        failed |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        failed |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long) (connect / USEC_PER_MSEC));
        /* Each connection looks the address up again, since a server that comes back may have another one.
         * With QUICK_EXIT a cancelled request does not wait for the resolver, which would block the loop. */
        failed |= curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
#if CURL_AT_LEAST_VERSION(7, 87, 0)
        failed |= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
        failed |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long) (timeout / USEC_PER_MSEC));
        failed |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
        failed |= curl_easy_setopt(e, CURLOPT_WRITEDATA, q);
        failed |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, q->message);
        failed |= curl_easy_setopt(e, CURLOPT_PRIVATE, q);
        return failed ? -ENOMEM : 0;
}

int http_client_request(HttpClient *c, const Address *server, const HttpCall *call, HttpDone done,
                void *userdata, HttpRequest **ret)
{
        HttpRequest *q = calloc(1, sizeof *q);
        int r = -ENOMEM;

        if (!q)
                return -ENOMEM;
        q->client = c;
        q->body_max = call->body_max > 0 ? call->body_max : BODY_DEFAULT_MAX;
        q->done = done;
        q->userdata = userdata;
        q->easy = curl_easy_init();
        if (q->easy)
                r = set_headers(q, call);
        if (r >= 0)
                r = set_options(q, server, call);
        if (r >= 0 && curl_multi_add_handle(c->multi, q->easy) != CURLM_OK)
                r = -ENOMEM;
        if (r < 0) {
                request_free(q);
                return r;
        }
        DL_APPEND(c->requests, q);
        if (ret)
                *ret = q;
        return 0;
}
