/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "discovery/api.h"
#include "discovery/leases.h"
#include "http/http-gzip.h"

#define WAIT_MAX   60u                 /* seconds */
#define SCAN_MAX   100000u             /* receivers looked at for one answer */
#define CACHED_MAX ((size_t) 64 << 20) /* bytes of lists that are kept */
#define GZIP_MIN   ((size_t) 1024)     /* smaller ones fit in one packet as they are */

typedef struct Selectors {
        ListQuery *query;
        Error error;
} Selectors;

static bool on_label(const char *value, void *userdata)
{
        Selectors *s = userdata;
        ListQuery *q = s->query;

        if (q->n_labels >= LABELS_MAX) {
                (void) error_set(&s->error, -EINVAL, "at most %u labels can be asked for", LABELS_MAX);
                return false;
        }
        if (label_parse(value, q->labels + q->n_labels, &s->error) < 0)
                return false;
        q->n_labels++;
        return true;
}

static const Group *group_of(Discovery *d, const ListQuery *q)
{
        return q->group ? group_find(d, q->group) : &d->all;
}

/* A place in the order of changes, as long as the receiver there is as it was: REVISION-ID. */
static int parse_cursor(Discovery *d, const char *text, const ListQuery *q, const Lease **ret)
{
        char number[24];
        uint64_t revision;
        sd_id128_t id;

        const char *dash = strchr(text, '-');
        if (!dash || (size_t) (dash - text) >= sizeof number)
                return -EINVAL;
        (void) snprintf(number, sizeof number, "%.*s", (int) (dash - text), text);
        if (parse_u64(number, 0, UINT64_MAX, &revision) < 0 || sd_id128_from_string(dash + 1, &id) < 0)
                return -EINVAL;
        const Lease *l = book_find(d, id);
        const Group *g = group_of(d, q);
        if (!l || l->revision != revision || (g != &d->all && l->group != g))
                return -ENOENT;
        *ret = l;
        return 0;
}

static bool bad(HttpExchange *x, const char *field, const char *message)
{
        api_error(x, 400, "invalid", field, message);
        return false;
}

bool list_parse_query(Discovery *d, HttpExchange *x, ListQuery *ret)
{
        const char *since = http_query(x, "since"), *changes = http_query(x, "changes");
        const char *wait = http_query(x, "wait"), *limit = http_query(x, "limit");
        const char *after = http_query(x, "after");
        uint64_t seconds = 0, most = LIST_MAX;
        Selectors s = {.query = ret};

        *ret = (ListQuery){.group = http_query(x, "group"), .known = changes ?: since, .changes = changes};
        http_query_each(x, "label", on_label, &s);
        if (s.error.text[0])
                return bad(x, "label", s.error.text);
        if (wait && parse_u64(wait, 0, WAIT_MAX, &seconds) < 0)
                return bad(x, "wait", "\"wait\" must be a number of seconds from 0 to 60");
        if (limit && parse_u64(limit, 1, LIST_MAX, &most) < 0)
                return bad(x, "limit", "\"limit\" must be a number from 1 to 10000");
        ret->wait_usec = seconds * USEC_PER_SEC;
        ret->limit = most;
        int r = after ? parse_cursor(d, after, ret, &ret->after) : 0;
        if (r == -EINVAL)
                return bad(x, "after", "\"after\" must be the \"next\" of the page before");
        if (r < 0)
                api_error(x, 410, "cursor-gone", "after",
                                "the receiver at the end of the page before has changed: begin again "
                                "without "
                                "\"after\"");
        return r >= 0;
}

void list_forget(Discovery *d, Group *g)
{
        if (!g->list.plain)
                return;
        g->list.plain = http_answer_free(g->list.plain);
        g->list.gzip = http_answer_free(g->list.gzip);
        g->list.unchanged = http_answer_free(g->list.unchanged);
        DL_DELETE2(d->cached, g, cached_prev, cached_next);
        d->cached_size -= g->list.size;
        g->list.size = 0;
}

/* What goes into one answer. */
typedef struct Page {
        Buffer leases; /* pointers */
        size_t n;
        const Lease *last; /* looked at; NULL: nothing is behind it */
} Page;

static int add_lease(Page *p, const Lease *l)
{
        p->n++;
        return buffer_append(&p->leases, &l, sizeof(Lease *));
}

static int by_name(const void *a, const void *b)
{
        return strcmp((*(Lease *const *) a)->texts, (*(Lease *const *) b)->texts);
}

static int collect(const Group *g, const ListQuery *q, Page *p)
{
        const Lease *l = q->after ? group_next(g, q->after) : g ? g->first : NULL, *last = NULL;
        size_t seen = 0;
        int r = 0;

        for (; l && r >= 0 && p->n < q->limit && seen < SCAN_MAX; l = group_next(g, l), seen++) {
                last = l;
                if (lease_has_labels(l, q->labels, q->n_labels))
                        r = add_lease(p, l);
        }
        p->last = l ? last : NULL;
        if (!p->last && !q->after && p->n > 0)
                qsort(p->leases.data + p->leases.start, p->n, sizeof(Lease *), by_name);
        return r;
}

static int add_text(Buffer *out, const char *text)
{
        return buffer_append(out, text, strlen(text));
}

static int print_leases(Buffer *out, const Page *p)
{
        const Lease *const *leases = (const Lease *const *) (const void *) buffer_peek(&p->leases);
        int r;

        r = add_text(out, ",\"receivers\":[");
        for (size_t i = 0; i < p->n && r >= 0; i++) {
                if (i > 0)
                        r = add_text(out, ",");
                if (r >= 0)
                        r = lease_print(leases[i], out);
                if (r >= 0)
                        r = add_text(out, "}");
        }
        return r < 0 ? r : add_text(out, "]");
}

static int print_page(Discovery *d, const Group *g, const ListQuery *q, Buffer *out)
{
        char revision[REVISION_MAX], id[SD_ID128_STRING_MAX], text[128];
        Page p = {};
        int r;

        (void) snprintf(text, sizeof text, "{\"revision\":\"%s\"", group_revision(d, g, revision));
        r = add_text(out, text);
        if (r >= 0)
                r = collect(g, q, &p);
        if (r >= 0)
                r = print_leases(out, &p);
        if (r >= 0 && p.last) {
                (void) snprintf(text, sizeof text, ",\"next\":\"%" PRIu64 "-%s\"", p.last->revision,
                                sd_id128_to_string(p.last->id, id));
                r = add_text(out, text);
        }
        buffer_clear(&p.leases);
        return r < 0 ? r : add_text(out, "}");
}

/* Those that left the group (or have not the labels any more), each an id. */
static int print_removed(Discovery *d, const ListQuery *q, uint64_t since, const Page *unfit, Buffer *out)
{
        const Lease *const *leases = (const Lease *const *) (const void *) buffer_peek(&unfit->leases);
        uint32_t group = q->group ? index_hash(d->seed, q->group, strlen(q->group)) : 0;
        char id[SD_ID128_UUID_STRING_MAX], text[64];
        const char *comma = "";
        int r;

        r = add_text(out, ",\"removed\":[");
        for (uint64_t i = d->n_gone; r >= 0 && i > 0 && d->n_gone - i < GONE_MAX; i--) {
                const Gone *gone = d->gone + (i - 1) % GONE_MAX;
                if (gone->revision <= since)
                        break;
                if (q->group ? gone->group != group : gone->moved)
                        continue;
                (void) snprintf(text, sizeof text, "%s\"%s\"", comma, sd_id128_to_uuid_string(gone->id, id));
                r = add_text(out, text);
                comma = ",";
        }
        for (size_t i = 0; r >= 0 && i < unfit->n; i++) {
                (void) snprintf(text, sizeof text, "%s\"%s\"", comma,
                                sd_id128_to_uuid_string(leases[i]->id, id));
                r = add_text(out, text);
                comma = ",";
        }
        return r < 0 ? r : add_text(out, "]");
}

/* Whether all that has happened since then is still known. */
static bool is_known(const Discovery *d, uint64_t since)
{
        if (since > d->revision)
                return false;
        return d->n_gone <= GONE_MAX || d->gone[d->n_gone % GONE_MAX].revision <= since;
}

/* 1; 0 when that would be more than the list itself; -ENOMEM. */
static int print_changes(Discovery *d, const Group *g, const ListQuery *q, Buffer *out)
{
        Page fit = {}, unfit = {};
        char revision[REVISION_MAX], text[256];
        uint64_t since = 0;
        int r = 1;

        if (revision_parse(d, q->known, &since) < 0 || !is_known(d, since))
                return 0;
        for (const Lease *l = g ? group_before(g, NULL) : NULL; l && l->revision > since && r > 0;
                        l = group_before(g, l)) {
                if (fit.n + unfit.n >= q->limit)
                        r = 0;
                else if (add_lease(lease_has_labels(l, q->labels, q->n_labels) ? &fit : &unfit, l) < 0)
                        r = -ENOMEM;
        }
        if (r > 0) {
                (void) snprintf(text, sizeof text, "{\"revision\":\"%s\",\"since\":\"%.*s\"",
                                group_revision(d, g, revision), REVISION_MAX, q->known);
                if (add_text(out, text) < 0 || print_removed(d, q, since, &unfit, out) < 0 ||
                                print_leases(out, &fit) < 0 || add_text(out, "}") < 0)
                        r = -ENOMEM;
        }
        buffer_clear(&fit.leases);
        buffer_clear(&unfit.leases);
        return r;
}

/* The same for each encoding: what it says is the same. */
static const char *etag_of(const Discovery *d, const Group *g, char buffer[static REVISION_MAX + 4])
{
        char revision[REVISION_MAX];

        (void) snprintf(buffer, REVISION_MAX + 4, "W/\"%s\"", group_revision(d, g, revision));
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

static void give_or_fail(HttpExchange *x, const HttpAnswer *a)
{
        if (a)
                http_give(x, a);
        else
                api_error(x, 503, "unavailable", NULL, "out of memory");
}

static void answer_once(HttpExchange *x, const char *etag, bool gzip, const Buffer *body)
{
        HttpAnswer *a = make_body_answer(etag, gzip, body);

        give_or_fail(x, a);
        http_answer_free(a);
}

static void keep(Discovery *d, Group *g, size_t limit, size_t size)
{
        DL_APPEND2(d->cached, g, cached_prev, cached_next);
        g->list.limit = limit;
        g->list.size = size;
        d->cached_size += size;
        while (d->cached_size > CACHED_MAX && d->cached != g)
                list_forget(d, d->cached);
}

static void answer_cached(
                Discovery *d, HttpExchange *x, Group *g, const ListQuery *q, const char *etag, bool gzip)
{
        Buffer body = {};

        if (g->list.plain && g->list.limit != q->limit)
                list_forget(d, g);
        if (!g->list.plain || (gzip && !g->list.gzip)) {
                if (print_page(d, g, q, &body) < 0) {
                        buffer_clear(&body);
                        return give_or_fail(x, NULL);
                }
                if (!g->list.plain) {
                        g->list.plain = make_body_answer(etag, false, &body);
                        if (g->list.plain)
                                keep(d, g, q->limit, buffer_size(&body));
                }
                if (gzip && g->list.plain)
                        g->list.gzip = make_body_answer(etag, true, &body);
                buffer_clear(&body);
        }
        give_or_fail(x, gzip ? g->list.gzip : g->list.plain);
}

/* If-None-Match: "a", W/"b", or *. The revision in it is enough, nothing else looks like it. */
static bool is_unchanged(const Discovery *d, HttpExchange *x, const Group *g)
{
        const char *known = http_header(x, "If-None-Match");
        char quoted[REVISION_MAX + 4];

        return known && (str_equal(known, "*") || strstr(known, etag_of(d, g, quoted) + STRLEN("W/")));
}

static void answer_unchanged(HttpExchange *x, Group *g, const char *etag)
{
        HttpAnswer *a = g && g->list.plain ? g->list.unchanged : NULL;

        if (a)
                return http_give(x, a);
        a = make_answer(304, etag, NULL, NULL);
        give_or_fail(x, a);
        if (g && g->list.plain)
                g->list.unchanged = a; /* goes with the list */
        else
                http_answer_free(a);
}

void list_answer(Discovery *d, HttpExchange *x, const ListQuery *q)
{
        Group *g = q->group ? group_find(d, q->group) : &d->all;
        bool gzip = gzip_is_accepted(http_header(x, "Accept-Encoding"));
        char etag[REVISION_MAX + 4];
        Buffer body = {};
        int r = 0;

        if (q->changes)
                r = print_changes(d, g, q, &body);
        if (r > 0)
                answer_once(x, NULL, gzip, &body);
        else if (r < 0)
                give_or_fail(x, NULL);
        else if (is_unchanged(d, x, g))
                answer_unchanged(x, g, etag_of(d, g, etag));
        else if (g && q->n_labels == 0 && !q->after)
                answer_cached(d, x, g, q, etag_of(d, g, etag), gzip);
        else if (print_page(d, g, q, &body) >= 0)
                answer_once(x, etag_of(d, g, etag), gzip, &body);
        else
                give_or_fail(x, NULL);
        buffer_clear(&body);
}
