/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds what an observation is about, and makes it when it comes up for the first time. */
#include "sim/judge-inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t) 256 << 10)

static void *judge_alloc(Judge *j, size_t size)
{
        size = (size + 15) & ~(size_t) 15;
        if (j->chunk_used + size > j->chunk_size) {
                char *chunk = calloc(1, CHUNK_SIZE);

                assert(chunk && size < CHUNK_SIZE / 2);
                memcpy(chunk, &j->chunk, sizeof j->chunk);
                j->chunk = chunk;
                j->chunk_used = 16;
                j->chunk_size = CHUNK_SIZE;
        }
        void *p = j->chunk + j->chunk_used;
        j->chunk_used += size;
        return p;
}

static void add(Index *x, IndexItem *item, uint32_t hash)
{
        int r = index_add(x, item, hash);

        assert(r >= 0);
        (void) r;
}

static uint32_t hash_id(sd_id128_t id)
{
        return index_hash(0, &id, sizeof id);
}

static uint32_t hash_number(uint64_t number)
{
        return index_hash(0, &number, sizeof number);
}

#define FIND(x, want, Type, item, key_matches)                                                              \
        ({                                                                                                  \
                Type *_found = NULL;                                                                        \
                for (IndexItem *_i = index_first(x, want); _i && !_found; _i = index_next(_i)) {            \
                        Type *each = CONTAINER_OF(_i, Type, item);                                          \
                        if (key_matches)                                                                    \
                                _found = each;                                                              \
                }                                                                                           \
                _found;                                                                                     \
        })

/* "c0-copy5" is a copy of "c0". */
static JProcess *find_original(Judge *j, const char *name)
{
        const size_t n = strcspn(name, "-");

        for (unsigned i = 0; i < plan_n_processes(j->plan); i++) {
                JProcess *p = j->processes + i;
                if (p->process && strncmp(process_name(p->process), name, n) == 0 &&
                                process_name(p->process)[n] == '\0')
                        return p;
        }
        return NULL;
}

JProcess *judge_process(Judge *j, Process *p)
{
        if (!p)
                return NULL;
        const unsigned i = process_index(p);
        assert(i < J_PROCESSES_MAX);
        JProcess *own = j->processes + i;

        if (!own->process) {
                const unsigned clients = 1 + j->plan->n_clients, all = clients + j->plan->n_receivers;

                own->process = p;
                own->role = i == 0        ? ROLE_DISCOVERY
                            : i < clients ? ROLE_CLIENT
                            : i < all     ? ROLE_RECEIVER
                                          : ROLE_OTHER;
                own->original = own->role == ROLE_OTHER ? find_original(j, process_name(p)) : NULL;
                own->number = i < 1 ? 0 : i < clients ? i - 1 : i - clients;
        }
        return own;
}

JPlanned *judge_planned(Judge *j, uint64_t number)
{
        return number < j->plan->n_messages && j->planned[number].step ? j->planned + number : NULL;
}

const PlannedMessage *planned_message(const JMessage *m)
{
        return m->planned ? &m->planned->step->message : NULL;
}

unsigned planned_idempotency(const JPlanned *p)
{
        const unsigned first = p->step->message.idempotency;

        return first > 0 ? first + p->offset : 0;
}

JMessage *judge_message(Judge *j, sd_id128_t id)
{
        return FIND(&j->messages, hash_id(id), JMessage, by_id, sd_id128_equal(each->id, id));
}

/* NULL: it has none. */
static JKey *find_key(Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);

        if (!p || p->mode != SELECTOR_KEY)
                return NULL;
        const uint64_t number = p->key + (p->keys > 1 ? m->planned->offset % p->keys : 0);
        const uint64_t want = ((uint64_t) m->client->number << 48) + ((uint64_t) p->group << 40) + number;
        JKey *k = FIND(&j->keys, hash_number(want), JKey, by_key, each->key == want);

        if (!k) {
                k = judge_alloc(j, sizeof *k);
                k->key = want;
                add(&j->keys, &k->by_key, hash_number(want));
        }
        return k;
}

static void set_number(Judge *j, JMessage *m, JPlanned *planned)
{
        if (m->planned || !planned)
                return;
        m->planned = planned;
        m->fanout = selector_mode_is_fanout(planned->step->message.mode);
        m->transient = planned->step->message.transient;
        m->submitted = planned->submitted;
        m->key = find_key(j, m);
        planned->n_ids++;
        if (planned->n_ids > planned->n_submitted)
                breach(j, RULE_ONE_SUBMISSION_ONE_MESSAGE, m, m->client,
                                "%s is message no. %u of a number that was submitted %u times",
                                text_message(m), planned->n_ids, planned->n_submitted);
}

JMessage *judge_message_get(Judge *j, sd_id128_t id, JProcess *client, uint64_t number)
{
        JMessage *m = judge_message(j, id);

        if (!m) {
                m = judge_alloc(j, sizeof *m);
                m->id = id;
                m->client = client;
                m->known = j->o->index;
                /* What is seen before the outbox was read may be older. */
                m->known_start = client->starts - (client->loaded != client->starts);
                add(&j->messages, &m->by_id, hash_id(id));
                client->n_ids++;
                if (client->role == ROLE_CLIENT && client->n_ids > client->n_submitted)
                        breach(j, RULE_NOTHING_IS_INVENTED, m, client,
                                        "%s has %" PRIu64 " messages, but only %" PRIu64
                                        " were submitted there; the last is %s",
                                        text_process(client), client->n_ids, client->n_submitted,
                                        text_message(m));
        }
        set_number(j, m, judge_planned(j, number));
        return m;
}

JReceiver *judge_receiver(Judge *j, sd_id128_t id)
{
        JReceiver *r = FIND(&j->receivers, hash_id(id), JReceiver, by_id, sd_id128_equal(each->id, id));

        if (!r) {
                r = judge_alloc(j, sizeof *r);
                r->id = id;
                add(&j->receivers, &r->by_id, hash_id(id));
        }
        return r;
}

JDelivery *judge_delivery(const JMessage *m, const JReceiver *r)
{
        JDelivery *d = m->deliveries;

        while (d && d->receiver != r)
                d = d->next;
        return d;
}

/* The newest is the first in the list. */
JDelivery *judge_delivery_get(Judge *j, JMessage *m, JReceiver *r)
{
        JDelivery *d = judge_delivery(m, r);

        if (!d) {
                d = judge_alloc(j, sizeof *d);
                d->message = m;
                d->receiver = r;
                d->next = m->deliveries;
                m->deliveries = d;
        }
        return d;
}

JStream *judge_stream(Judge *j, sd_id128_t id)
{
        return FIND(&j->streams, hash_id(id), JStream, by_id, sd_id128_equal(each->id, id));
}

JStream *judge_stream_get(Judge *j, sd_id128_t id, JProcess *client, JReceiver *r)
{
        JStream *s = judge_stream(j, id);

        if (!s) {
                s = judge_alloc(j, sizeof *s);
                s->id = id;
                s->client = client;
                s->receiver = r;
                s->first_start = client->starts;
                s->known = j->o->index;
                s->low = s->low_read = 1;
                s->next = r->streams;
                r->streams = s;
                add(&j->streams, &s->by_id, hash_id(id));
        }
        return s;
}

JEntry *judge_entry(const JStream *s, uint64_t sequence)
{
        if (sequence == 0 || sequence > s->n_entries)
                return NULL;
        return s->entries[sequence - 1].message ? s->entries + sequence - 1 : NULL;
}

/* Sequences are dense, so an array holds them; a sequence far beyond any window is nonsense, and ignored. */
JEntry *judge_entry_get(JStream *s, uint64_t sequence)
{
        if (sequence == 0 || sequence > s->n_entries + ((uint64_t) 1 << 20))
                return NULL;
        if (sequence > s->allocated) {
                uint64_t want = MAX(MAX(s->allocated * 2, sequence), (uint64_t) 16);
                JEntry *grown = reallocarray(s->entries, want, sizeof *grown);
                assert(grown);
                memset(grown + s->allocated, 0, (want - s->allocated) * sizeof *grown);
                s->entries = grown;
                s->allocated = want;
        }
        s->n_entries = MAX(s->n_entries, sequence);
        return s->entries + sequence - 1;
}

void judge_free_streams(Judge *j)
{
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&j->streams, &cursor)))
                free(CONTAINER_OF(i, JStream, by_id)->entries);
}

JConnection *judge_connection(Judge *j, uint64_t number)
{
        return FIND(&j->connections, hash_number(number), JConnection, by_number, each->number == number);
}

JConnection *judge_connection_get(Judge *j, uint64_t number)
{
        JConnection *c = judge_connection(j, number);

        if (!c) {
                c = judge_alloc(j, sizeof *c);
                c->number = number;
                add(&j->connections, &c->by_number, hash_number(number));
        }
        return c;
}

JRun *judge_run(Judge *j, uint64_t number)
{
        return FIND(&j->runs, hash_number(number), JRun, by_number, each->number == number);
}

JRun *judge_run_new(Judge *j, uint64_t number, JDelivery *d, JProcess *p)
{
        JRun *run = judge_alloc(j, sizeof *run);

        run->number = number;
        run->delivery = d;
        run->process = p;
        run->start = j->o->state > 0 ? (uint32_t) j->o->state : p->starts;
        run->began = j->o->index;
        run->began_at = j->o->at;
        run->previous = d->run;
        d->run = run;
        add(&j->runs, &run->by_number, hash_number(number));
        return run;
}

JIdempotent *judge_idempotent(Judge *j, const JProcess *client, unsigned number)
{
        const uint64_t want = ((uint64_t) client->number << 32) + number;
        JIdempotent *k = FIND(&j->idempotent, hash_number(want), JIdempotent, by_key, each->key == want);

        if (!k) {
                k = judge_alloc(j, sizeof *k);
                k->key = want;
                add(&j->idempotent, &k->by_key, hash_number(want));
        }
        return k;
}

/* A message exists from its submission on, although it may be seen later. */
bool message_is_excepted(const JMessage *m)
{
        const uint64_t since = m->submitted > 0 ? MIN(m->submitted, m->known) : m->known;

        return since < m->client->marked;
}

bool flag_is_excepted(const JMessage *m)
{
        return message_is_excepted(m) && (m->client->restored || m->client->damaged == 0);
}

bool stream_is_excepted(const JStream *s)
{
        return s->client->role == ROLE_OTHER || s->known < s->client->marked || s->settled_by_copy;
}

bool receiver_is_excepted(const JReceiver *r, uint64_t since)
{
        return r->process && since < r->process->marked;
}
