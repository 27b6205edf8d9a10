/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/lookup.h"

#include <errno.h>

#include "client/state/message.h"

typedef struct LookUp {
        OutboxFindOp find;
        Client *client;
        void (*done)(Message *m, int r, void *userdata);
        void *userdata;
} LookUp;

static void found(LookUp *l, Message *m)
{
        message_pin(m);
        message_announce(m);
        l->done(m, 0, l->userdata);
        message_unpin(m);
}

static void on_found(DbOp *op, int r)
{
        LookUp *l = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), LookUp, find);
        Message *m = NULL;

        if (r >= 0 && l->find.n_records != 1)
                r = l->find.n_records == 0 ? -ENOENT : -ENOTUNIQ;
        if (r >= 0) {
                m = message_find(l->client, l->find.records[0].id);
                if (!m)
                        r = message_new(l->client, l->find.records, &m);
        }
        if (r < 0)
                l->done(NULL, r, l->userdata);
        else
                found(l, m);
        outbox_records_free(l->find.records, l->find.n_records);
        free(l);
}

/* "5f0c1a" becomes the range 5f0c1a00… to 5f0c1aff…. */
static int parse_prefix(const char *text, sd_id128_t *ret_first, sd_id128_t *ret_last)
{
        sd_id128_t first = SD_ID128_NULL, last = SD_ID128_NULL;
        unsigned n = 0;

        for (const char *p = text; *p; p++) {
                if (*p == '-' && p > text)
                        continue;
                const char *digits = "0123456789abcdef";
                const char *digit = strchr(digits, *p >= 'A' && *p <= 'F' ? *p - 'A' + 'a' : *p);
                if (!digit || n >= 32)
                        return -EINVAL;
                first.bytes[n / 2] |= (uint8_t) ((digit - digits) << (n % 2 ? 0 : 4));
                n++;
        }
        if (n < 6)
                return -EINVAL;
        last = first;
        for (; n < 32; n++)
                last.bytes[n / 2] |= (uint8_t) (n % 2 ? 0x0f : 0xf0);
        *ret_first = first;
        *ret_last = last;
        return 0;
}

void message_look_up(Client *c, const char *prefix, void (*done)(Message *m, int r, void *userdata),
                void *userdata)
{
        sd_id128_t first, last;
        int r = parse_prefix(prefix, &first, &last);

        if (r < 0) {
                done(NULL, r, userdata);
                return;
        }
        LookUp *l = calloc(1, sizeof *l);
        if (!l) {
                done(NULL, -ENOMEM, userdata);
                return;
        }
        outbox_find_op_init(&l->find, OUTBOX_ID, 2);
        l->client = c, l->done = done, l->userdata = userdata;
        Message *m = sd_id128_equal(first, last) ? message_find(c, first) : NULL;
        if (m && (m->announced || m->transient)) {
                found(l, m);
                free(l);
                return;
        }
        /* The client is stopping and reads nothing more. */
        if (c->stopping) {
                done(NULL, -ESHUTDOWN, userdata);
                free(l);
                return;
        }
        l->find.first = first, l->find.last = last;
        l->find.op.done = on_found;
        db_submit(c->db, &l->find.op);
}
