/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/list.h"

#include <errno.h>
#include <stdio.h>

#include "base/str-util.h"
#include "discovery/list-page.h"
#include "http/http-gzip.h"

#define CACHED_MAX ((size_t) 64 << 20) /* bytes of all cached lists */
#define GZIP_MIN   ((size_t) 1024)     /* a smaller body fits in one packet uncompressed */

void lists_init(Lists *s, const Leases *leases)
{
        *s = (Lists){.groups = leases->groups, .leases = leases};
}

void lists_forget(Lists *s, Group *g)
{
        if (!g->list.plain)
                return;
        g->list.plain = http_answer_free(g->list.plain);
        g->list.gzip = http_answer_free(g->list.gzip);
        g->list.unchanged = http_answer_free(g->list.unchanged);
        DL_DELETE2(s->cached, g, list.prev, list.next);
        s->cached_size -= g->list.size;
        g->list.size = 0;
}

void lists_clear(Lists *s)
{
        while (s->cached)
                lists_forget(s, s->cached);
}

/* The same for each encoding: a weak tag names the content, not its bytes. */
static const char *etag_of(const Groups *gs, const Group *g, char buffer[static REVISION_MAX + 4])
{
        char revision[REVISION_MAX];

        (void) snprintf(buffer, REVISION_MAX + 4, "W/\"%s\"", group_revision(gs, g, revision));
        return buffer;
}

static HttpAnswer *make_answer(unsigned status, const char *etag, const char *encoding, const Buffer *body)
{
        _cleanup_(http_answer_freep) HttpAnswer *a = http_answer_new(
                        status, body ? buffer_peek(body) : NULL, body ? buffer_size(body) : 0);

        if (!a || http_answer_add_header(a, "Vary", "Accept-Encoding") < 0 ||
                        (etag && http_answer_add_header(a, "ETag", etag) < 0) ||
                        (encoding && http_answer_add_header(a, "Content-Encoding", encoding) < 0))
                return NULL;
        return TAKE_PTR(a);
}

static HttpAnswer *make_body_answer(const char *etag, bool gzip, const Buffer *body)
{
        Buffer packed = {};
        HttpAnswer *a = NULL;

        if (!gzip || buffer_size(body) < GZIP_MIN)
                return make_answer(200, etag, NULL, body);
        if (gzip_append(&packed, buffer_peek(body), buffer_size(body)) >= 0)
                a = make_answer(200, etag, "gzip", &packed);
        buffer_clear(&packed);
        return a;
}

static void answer_once(HttpExchange *x, const char *etag, bool gzip, const Buffer *body)
{
        HttpAnswer *a = make_body_answer(etag, gzip, body);

        reply_answer(x, a);
        http_answer_free(a);
}

static void add_to_cache(Lists *s, Group *g, size_t limit, size_t size)
{
        DL_APPEND2(s->cached, g, list.prev, list.next);
        g->list.limit = limit;
        g->list.size = size;
        s->cached_size += size;
        while (s->cached_size > CACHED_MAX && s->cached != g)
                lists_forget(s, s->cached);
}

static void answer_cached(
                Lists *s, HttpExchange *x, Group *g, const ListQuery *q, const char *etag, bool gzip)
{
        Buffer body = {};

        if (g->list.plain && g->list.limit != q->limit)
                lists_forget(s, g);
        if (!g->list.plain || (gzip && !g->list.gzip)) {
                if (list_page_print(s->groups, g, q, &body) < 0) {
                        buffer_clear(&body);
                        return reply_out_of_memory(x);
                }
                if (!g->list.plain) {
                        g->list.plain = make_body_answer(etag, false, &body);
                        if (g->list.plain)
                                add_to_cache(s, g, q->limit, buffer_size(&body));
                }
                if (gzip && g->list.plain)
                        g->list.gzip = make_body_answer(etag, true, &body);
                buffer_clear(&body);
        }
        reply_answer(x, gzip ? g->list.gzip : g->list.plain);
}

/* Only a group with leases has a cached list: one without is freed as soon as no long poll waits for it. */
static bool may_be_cached(const Group *g, const ListQuery *q)
{
        return g && (g->n_leases > 0 || group_is_all(g)) && q->n_labels == 0 && !q->after;
}

/* If-None-Match is "a", W/"b", a list of such, or *. It is enough to look for the revision in it, since
 * nothing else looks like one. */
static bool is_unchanged(HttpExchange *x, const char *etag)
{
        const char *known = http_header(x, "If-None-Match");

        return known && (str_equal(known, "*") || strstr(known, etag + STRLEN("W/")));
}

static void answer_unchanged(HttpExchange *x, Group *g, const char *etag)
{
        HttpAnswer *a = g && g->list.plain ? g->list.unchanged : NULL;

        if (a)
                return http_give(x, a);
        a = make_answer(304, etag, NULL, NULL);
        reply_answer(x, a);
        if (g && g->list.plain)
                g->list.unchanged = a; /* freed with the list */
        else
                http_answer_free(a);
}

void lists_answer(Lists *s, HttpExchange *x, const ListQuery *q)
{
        bool gzip = gzip_is_accepted(http_header(x, "Accept-Encoding"));
        Group *g = group_find(s->groups, q->group);
        char etag[REVISION_MAX + 4];
        Buffer body = {};
        int r = 0;

        if (q->changes)
                r = list_changes_print(s->groups, &s->leases->tombstones, g, q, &body);
        if (r == 0)
                (void) etag_of(s->groups, g, etag);
        if (r > 0)
                answer_once(x, NULL, gzip, &body);
        else if (r < 0)
                reply_out_of_memory(x);
        else if (is_unchanged(x, etag))
                answer_unchanged(x, g, etag);
        else if (may_be_cached(g, q))
                answer_cached(s, x, g, q, etag, gzip);
        else if (list_page_print(s->groups, g, q, &body) >= 0)
                answer_once(x, etag, gzip, &body);
        else
                reply_out_of_memory(x);
        buffer_clear(&body);
}
