/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/backlog.h"
#include "client/engine/bind.h"
#include "client/engine/dispatch.h"
#include "client/engine/due.h"
#include "client/engine/fanout.h"
#include "client/engine/members.h"
#include "client/engine/pump.h"
#include "client/engine/save.h"
#include "client/intake/bulk.h"
#include "client/intake/drain.h"
#include "client/intake/resolve.h"
#include "client/intake/schedule.h"
#include "client/link/peers.h"
#include "client/link/window.h"
#include "client/state/message.h"
#include "client/state/queue.h"
#include "client/state/transient.h"
#include "daemon/host.h"
#include "daemon/paths.h"
#include "runtime/journal.h"
#include "runtime/notify.h"

static void load_client(
                sd_id128_t id, uint64_t last_number, uint64_t n_open, uint64_t n_dead, void *userdata)
{
        Client *c = userdata;

        c->id = id;
        c->messages.last_number = last_number;
        c->messages.n_open = n_open;
        c->messages.n_dead = n_dead;
}

/* After a restart the client does not know whether it sent the message. So every send may be a duplicate. */
static int load_bound(OutboxRecord *record, void *userdata)
{
        Client *c = userdata;
        SendWindow *w = NULL;
        Message *m;
        Peer *p;
        int r;

        record->duplicate = true;
        r = peer_get(c, record->receiver, &p);
        if (r >= 0 && !sd_id128_is_null(record->stream))
                r = window_load(p, record->stream, &w);
        if (r >= 0 && w)
                r = window_load_open(w, record->sequence);
        if (r >= 0)
                r = message_new(c, record, &m);
        if (r >= 0)
                r = bind_load(m, p, w);
        if (r >= 0 && !m->record.quiet)
                message_announce(m);
        return r;
}

static int load_queued(const char *queue, uint64_t n, void *userdata)
{
        Queue *q;
        int r;

        r = queue_get(userdata, queue, &q);
        if (r >= 0)
                backlog_load(q, n);
        return r;
}

static int load_fanout(OutboxRecord *record, unsigned n_acked, unsigned n_failed, unsigned n_members,
                void *userdata)
{
        Message *m;
        int r = message_new(userdata, record, &m);

        if (r >= 0)
                fanout_load(m, n_acked, n_failed, n_members);
        return r;
}

static int load_stream(sd_id128_t stream, sd_id128_t receiver, void *userdata)
{
        SendWindow *w;
        Peer *p;
        int r;

        r = peer_get(userdata, receiver, &p);
        return r < 0 ? r : window_load(p, stream, &w);
}

static int load_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        return resolver_load(userdata, id, record, departed);
}

/* Runs at the end of each iteration. Operations that it submits still go to the writer thread at once. */
static void before_kick(void *userdata)
{
        Client *c = userdata;

        transient_run(c);
        bulk_flush(c);
}

/* What is open in a copy may have been sent by the original. */
static int find_place(Client *c)
{
        OutboxPlace here = {.machine = database_machine()};
        bool copied = false;
        int r;

        database_mark(c->db, &here.boot, &here.device, &here.inode);
        r = outbox_take_place(c->db, &here, &copied);
        if (r >= 0 && copied)
                journal_event(JOURNAL_COPIED, &(JournalFields){},
                                "The state directory is a copy: the client takes a new id, and what waits "
                                "is "
                                "sent as possible duplicates");
        return r;
}

static int start_store(Client *c, Error *error)
{
        const OutboxLoad load = {
                        load_client, load_bound, load_queued, load_fanout, load_stream, load_receiver, c};
        _cleanup_free_ char *path = NULL;
        int r;

        r = paths_state_file(c->config.state_directory, "client", "outbox.db", &path, error);
        if (r < 0)
                return r;
        r = outbox_open(path, &c->db, error);
        if (r < 0)
                return r;
        database_report_damage(c->db);
        r = find_place(c);
        if (r >= 0)
                r = outbox_load(c->db, &load);
        for (Peer *p = c->peers.by_id; p && r >= 0; p = p->hh.next)
                r = windows_loaded(p);
        if (r >= 0)
                r = database_start(&c->database, c->loop, c->db, before_kick, c);
        if (r == -EUCLEAN)
                return error_set(error, r, "%s is damaged", path);
        if (r < 0)
                return error_set(error, r, "cannot read %s: %s", path, strerror(-r));
        return 0;
}

static int find_discovery(Client *c, Error *error)
{
        int r = c->config.discovery ? 0 : paths_socket(DISCOVERY_SOCKET, &c->config.discovery);

        if (r < 0)
                return error_set(error, r, "cannot find the runtime directory");
        return address_parse_url(c->config.discovery, &c->discovery_address, error);
}

static void on_stop(void *userdata)
{
        Client *c = userdata;

        c->stopping = true;
        windows_announce_last(c);
        notify_stopping();
        loop_exit(c->loop, 0);
}

static void on_ended(Message *m, bool durable)
{
        bulk_ended(m);
        if (durable)
                fanout_ended(m);
}

/* Sets the callbacks of the floors below. */
static void wire(Client *c, const ClientObserver *observer)
{
        c->observer = *observer;
        c->link = dispatch_link_events;
        c->saved = dispatch_saved;
        c->ended = on_ended;
}

static int start_runtime(Client *c, Error *error)
{
        int r;

        (void) gethostname(c->host, sizeof c->host - 1);
        c->here = host_mark();
        const unsigned limit = fd_limit();
        c->peers.n_max = limit - MIN(limit / 2, DESCRIPTORS_KEPT);
        r = loop_new(on_stop, c, &c->loop);
        if (r < 0)
                return error_set(error, r, "cannot start: %s", strerror(-r));
        r = service_start(&c->service, c->loop, database_is_alive, &c->database);
        if (r >= 0)
                r = http_client_new(c->loop, &c->http);
        if (r >= 0)
                r = due_init(c, dispatch_due);
        if (r >= 0)
                r = windows_init(c);
        if (r >= 0)
                r = retries_init(&c->retries, c->loop);
        if (r >= 0)
                r = saves_init(c);
        if (r >= 0)
                r = schedule_init(c);
        if (r >= 0)
                r = resolver_new(c, &c->resolver);
        return r < 0 ? error_set(error, r, "cannot start: %s", strerror(-r)) : 0;
}

int client_start(Client *c, const ClientObserver *observer, Error *error)
{
        Queue *q;
        Peer *p, *next;
        int r;

        wire(c, observer);
        r = find_discovery(c, error);
        if (r >= 0)
                r = start_runtime(c, error);
        if (r >= 0)
                r = start_store(c, error);
        if (r < 0)
                return r;
        if (c->messages.n_open > 0)
                log_info("%" PRIu64 " messages wait in the outbox", c->messages.n_open);
        HASH_ITER(hh, c->peers.by_id, p, next) {
                dispatch_loaded(p);
                pump(p);
        }
        for (q = c->queues.by_text; q; q = q->hh.next)
                bind_queue(q);
        fanouts_recount(c);
        schedule_start(c);
        resolver_start(c->resolver);
        return 0;
}

void client_stop(Client *c)
{
        c->stopping = true;
        drains_end(c);
        transient_run(c);
        c->db = database_close(&c->database, c->db);
        retries_drop(&c->retries);
}

void client_clear(Client *c)
{
        client_stop(c);
        c->resolver = resolver_free(c->resolver);
        bulk_clear(c);
        members_clear(c);
        peers_clear(c);
        messages_clear(c);
        queues_clear(c);
        slab_clear(&c->slab);
        heap_clear(&c->due.heap);
        timer_clear(&c->due.timer);
        timer_clear(&c->windows.timer);
        timer_clear(&c->save.trim);
        retries_clear(&c->retries);
        timer_clear(&c->schedule.timer);
        service_stop(&c->service);
        http_client_free(c->http);
        loop_free(c->loop);
        client_config_clear(&c->config);
}

void client_reload(Client *c, const ClientConfig *fresh)
{
        c->config.policy = fresh->policy;
        c->config.deadline_usec = fresh->deadline_usec;
        c->config.max_payload = fresh->max_payload;
        c->config.outbox_limit = fresh->outbox_limit;
        c->config.history = fresh->history;
        c->observer.changed(c->observer.userdata);
}
