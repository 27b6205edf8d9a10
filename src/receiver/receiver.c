/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/receiver.h"

#include <errno.h>

#include "base/log.h"
#include "base/str-util.h"
#include "daemon/listening.h"
#include "daemon/paths.h"
#include "receiver/self.h"

/* How long to wait for the lock: the instance before this one may still be stopping. */
#define LOCK_PATIENCE_USEC (40 * USEC_PER_SEC)

static const char *instance_of(const Receiver *r)
{
        return r->config->instance ?: "default";
}

/* Events of connections. */

static int on_message(const Sender *sender, const MessageFrame *f, Error *error, void *userdata)
{
        return intake_message(&((Receiver *) userdata)->intake, sender, f, error);
}

static int on_cancel(const Sender *sender, const CancelFrame *f, Error *error, void *userdata)
{
        return intake_cancel(&((Receiver *) userdata)->intake, sender, f, error);
}

static int on_settled(const Sender *sender, const SettledFrame *f, Error *error, void *userdata)
{
        return settle_announced(&((Receiver *) userdata)->settles, sender, f, error);
}

static bool on_text(const Sender *sender, Bytes text, void *userdata)
{
        return intake_text(&((Receiver *) userdata)->intake, sender, text);
}

/* Becoming a new receiver: what runs is killed, all state is removed, and discovery gives another id. */

static void on_disowned(void *userdata)
{
        Receiver *r = userdata;

        r->condition.id = ID_RENEWING;
        conns_goodbye(&r->conns, GOODBYE_STOPPING, true);
        intake_drop_queued(&r->intake);
        jobs_kill(&r->jobs);
        loop_defer(r->loop, &r->idle_check);
}

static void on_reset(DbOp *op, int result)
{
        Receiver *r = CONTAINER_OF(op, Receiver, reset.op);

        r->resetting = false;
        if (result < 0) {
                (void) log_error_errno(result, "Cannot remove the state of another receiver");
                loop_exit(r->loop, EXIT_FAILURE);
                return;
        }
        dedup_index_clear(r->index, now_usec(CLOCK_MONOTONIC));
        runs_clear(r->runs);
        registration_forget(&r->registration);
        if (!condition_is_stopping(&r->condition))
                registration_begin(&r->registration);
}

static void reset(Receiver *r)
{
        r->resetting = true;
        dedup_reset_op_init(&r->reset);
        r->reset.op.done = on_reset;
        db_submit(r->db, &r->reset.op);
}

static void check_idle(void *userdata)
{
        Receiver *r = userdata;

        acceptor_update(&r->acceptor);
        conns_offer(&r->conns, jobs_free(&r->jobs));
        if (!intake_is_idle(&r->intake))
                return;
        if (r->condition.id == ID_RENEWING && !r->resetting)
                reset(r);
        stop_on_idle(&r->stop);
}

static void on_stop(void *userdata)
{
        stop_begin(&((Receiver *) userdata)->stop);
}

static void on_left(void *userdata)
{
        stop_finish(&((Receiver *) userdata)->stop);
}

/* Start. */

static void wire_conns(Receiver *r)
{
        r->conns = (Conns){
                        .loop = r->loop,
                        .config = r->config,
                        .info = &r->info,
                        .condition = &r->condition,
                        .depth = &r->jobs.depth,
                        .idle_check = &r->idle_check,
                        .events = {on_message, on_cancel, on_settled, on_text},
                        .userdata = r,
        };
        r->acceptor.loop = r->loop;
        r->acceptor.conns = &r->conns;
        r->acceptor.condition = &r->condition;
}

static void wire_jobs(Receiver *r)
{
        r->jobs = (Jobs){
                        .loop = r->loop,
                        .config = r->config,
                        .condition = &r->condition,
                        .conns = &r->conns,
                        .index = r->index,
                        .runs = r->runs,
                        .idle_check = &r->idle_check,
        };
        r->handler.loop = r->loop;
        r->handler.config = r->config;
        r->handler.info = &r->info;
        r->handler.warden = &r->warden;
        r->handler.done = intake_on_handler_end;
        r->handler.userdata = &r->intake;
        r->working = (Working){.loop = r->loop, .jobs = &r->jobs};
}

static void wire_store(Receiver *r)
{
        r->recorder = (Recorder){
                        .loop = r->loop,
                        .db = r->db,
                        .jobs = &r->jobs,
                        .index = r->index,
                        .info = &r->info,
                        .done = intake_on_recorded,
                        .userdata = &r->intake,
        };
        r->replies = (Replies){
                        .loop = r->loop,
                        .db = r->db,
                        .conns = &r->conns,
                        .idle_check = &r->idle_check,
        };
        r->settles = (Settles){
                        .loop = r->loop,
                        .db = r->db,
                        .index = r->index,
                        .conns = &r->conns,
                        .condition = &r->condition,
        };
}

static void on_beat(void *userdata)
{
        Receiver *r = userdata;

        acceptor_check(&r->acceptor);
}

static void wire_top(Receiver *r)
{
        r->intake = (Intake){
                        .loop = r->loop,
                        .config = r->config,
                        .info = &r->info,
                        .conns = &r->conns,
                        .index = r->index,
                        .jobs = &r->jobs,
                        .handler = &r->handler,
                        .recorder = &r->recorder,
                        .replies = &r->replies,
                        .settles = &r->settles,
                        .working = &r->working,
                        .unsure = db_damage(r->db)->found || db_damage(r->db)->kept[0],
        };
        r->registration.loop = r->loop;
        r->registration.service = &r->service;
        r->registration.db = r->db;
        r->registration.config = r->config;
        r->registration.listeners = &r->acceptor.listeners;
        r->registration.info = &r->info;
        r->registration.condition = &r->condition;
        r->registration.idle_check = &r->idle_check;
        r->registration.events = (RegistrationEvents){on_disowned, on_left, on_beat};
        r->registration.userdata = r;
        r->stop = (Stop){
                        .loop = r->loop,
                        .service = &r->service,
                        .config = r->config,
                        .condition = &r->condition,
                        .conns = &r->conns,
                        .intake = &r->intake,
                        .registration = &r->registration,
                        .idle_check = &r->idle_check,
        };
}

static int find_discovery(Receiver *r, Error *error)
{
        _cleanup_free_ char *near = NULL;

        if (!r->config->discovery) {
                int x = paths_socket(DISCOVERY_SOCKET, &near);
                if (x < 0)
                        return error_set(error, x, "cannot find the runtime directory: set Discovery=");
        }
        return address_parse_url(r->config->discovery ?: near, &r->registration.server, error);
}

static int open_runs(Receiver *r, const char *role)
{
        const DedupIdentity *here = &r->registration.here;
        const RunsHome home = {here->boot, here->lock_device, here->lock_inode};
        _cleanup_free_ char *path = NULL;
        int x = paths_state_file(r->config->state_directory, role, "receiver.runs", &path, NULL);

        return x < 0 ? x : runs_open(path, &home, &r->runs);
}

/* Takes the lock. The warden keeps the lock while a handler can live. It is forked while the process has one
 * thread. */
static int open_store(Receiver *r, Error *error)
{
        _cleanup_free_ char *role = str_format("receiver/%s", instance_of(r)), *path = NULL;
        DedupIdentity *here = &r->registration.here;
        int x;

        if (!role)
                return -ENOMEM;
        x = paths_state_file(r->config->state_directory, role, "receiver.db", &path, error);
        if (x >= 0)
                x = dedup_open(path, LOCK_PATIENCE_USEC, &r->db, error);
        if (x < 0)
                return x;
        database_report_damage(r->db);
        x = warden_start(db_lock_fd(r->db), &r->warden);
        if (x < 0)
                return error_set(error, x, "cannot start the warden of the handlers: %s", strerror(-x));
        here->instance = r->info.instance;
        database_mark(r->db, &here->boot, &here->lock_device, &here->lock_inode);
        x = open_runs(r, role);
        if (x < 0)
                log_warning("Cannot open receiver.runs in the state directory (%s): "
                            "when a handler kills this receiver, nobody will notice it",
                                strerror(-x));
        x = dedup_load_identity(r->db, &r->registration.identity);
        if (x >= 0 || x == -ENOENT)
                x = dedup_index_new(RECEIVER_STREAMS_MAX, now_usec(CLOCK_MONOTONIC), &r->index);
        if (x >= 0)
                x = dedup_index_load(r->index, r->db);
        if (x == -EUCLEAN)
                return error_set(error, x, "%s is damaged", path);
        return x < 0 ? error_set(error, x, "cannot read %s: %s", path, strerror(-x)) : 0;
}

/* Without the warden, handlers could outlive us unseen. One of them may have killed it. */
static void on_warden(uint32_t events, void *userdata)
{
        Receiver *r = userdata;

        log_error("The warden of the handlers has died: ending");
        watch_pause(&r->warden_watch, true);
        runs_died(r->runs);
        loop_exit(r->loop, EXIT_FAILURE);
}

static int start_parts(Receiver *r)
{
        int x;

        x = loop_new(on_stop, r, &r->loop);
        if (x < 0)
                return x;
        wire_conns(r);
        wire_jobs(r);
        wire_store(r);
        wire_top(r);
        x = conns_init(&r->conns);
        if (x >= 0)
                x = intake_init(&r->intake);
        if (x >= 0)
                x = working_init(&r->working);
        if (x >= 0)
                x = recorder_init(&r->recorder);
        if (x >= 0)
                x = settles_init(&r->settles);
        if (x >= 0)
                x = stop_init(&r->stop);
        if (x >= 0)
                x = service_start(&r->service, r->loop, database_is_alive, &r->database);
        if (x >= 0)
                x = database_start(&r->database, r->loop, r->db, NULL, NULL);
        if (x >= 0)
                x = watch_start(&r->warden_watch, r->loop, r->warden.pidfd, EPOLLIN, on_warden, r);
        return x;
}

static int start_listening(Receiver *r, Error *error)
{
        _cleanup_free_ char *name = str_format("receiver/%s.sock", instance_of(r)), *near = NULL;
        char *defaults[] = {NULL, NULL};
        ListenSpec spec = {
                        .addresses = r->config->listen,
                        .defaults = defaults,
                        .parse = address_parse,
                        .also = true,
                        .allow_insecure = r->config->allow_insecure,
        };

        if (name && paths_socket(name, &near) >= 0)
                defaults[0] = near;
        int x = listening_open(&r->acceptor.listeners, &spec, error);
        if (x < 0)
                return x;
        x = acceptor_start(&r->acceptor);
        return x < 0 ? error_set(error, x, "cannot listen: %s", strerror(-x)) : 0;
}

static int start(Receiver *r, Error *error)
{
        int x;

        x = self_describe(&r->info, r->config, error);
        if (x >= 0)
                x = find_discovery(r, error);
        if (x >= 0)
                x = handler_load(&r->handler, r->config->command, error);
        if (x >= 0)
                x = open_store(r, error);
        if (x < 0)
                return x;
        x = start_parts(r);
        if (x < 0)
                return error_set(error, x, "cannot start: %s", strerror(-x));
        x = registration_init(&r->registration);
        if (x >= 0)
                x = start_listening(r, error);
        if (x < 0)
                return x;
        registration_begin(&r->registration);
        for (Run *run = NULL; (run = runs_next_charged(r->runs, run));)
                intake_charge(&r->intake, run);
        return 0;
}

int receiver_new(ReceiverConfig *config, Receiver **ret, Error *error)
{
        int x;

        _cleanup_(receiver_freep) Receiver *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->config = config;
        r->idle_check = (LoopWork){.run = check_idle, .userdata = r};
        x = start(r, error);
        if (x < 0)
                return x;
        *ret = TAKE_PTR(r);
        return 0;
}

int receiver_check(const ReceiverConfig *config, Error *error)
{
        ReceiverInfo info = {};
        Address address;
        int r;

        r = self_describe(&info, config, error);
        for (char **s = config->listen; s && *s && r >= 0; s++) {
                r = address_parse(*s, &address, error);
                if (r >= 0 && !config->allow_insecure)
                        r = listen_check_security(&address, error);
        }
        if (r >= 0)
                r = handler_check(config->command, error);
        receiver_info_clear(&info);
        return r;
}

int receiver_reload(Receiver *r, ReceiverConfig *fresh, Error *error)
{
        ReceiverConfig *c = r->config;
        int x;

        x = handler_load(&r->handler, fresh->command, error);
        if (x < 0)
                return x;
        strv_free(c->command);
        c->command = TAKE_PTR(fresh->command);
        c->concurrency = fresh->concurrency;
        c->queue = fresh->queue;
        c->failure_probability = fresh->failure_probability;
        c->plain_text = fresh->plain_text;
        c->handler_timeout_usec = fresh->handler_timeout_usec;
        c->stop_timeout_usec = fresh->stop_timeout_usec;
        c->max_payload = fresh->max_payload;
        c->max_reply = fresh->max_reply;
        c->reject_long_reply = fresh->reject_long_reply;
        conns_share(&r->conns);
        intake_run_next(&r->intake);
        registration_refresh(&r->registration);
        return 0;
}

Receiver *receiver_free(Receiver *r)
{
        if (!r)
                return NULL;
        /* The database may still finish operations; they must begin nothing new. */
        r->condition.phase = PHASE_LEAVING;
        acceptor_clear(&r->acceptor);
        r->db = database_close(&r->database, r->db);
        jobs_clear(&r->jobs);
        settles_clear(&r->settles);
        conns_clear(&r->conns);
        registration_clear(&r->registration);
        recorder_clear(&r->recorder);
        working_clear(&r->working);
        intake_clear(&r->intake);
        stop_clear(&r->stop);
        dedup_index_free(r->index);
        runs_close(r->runs);
        watch_stop(&r->warden_watch);
        warden_stop(&r->warden);
        service_stop(&r->service);
        handler_clear(&r->handler);
        receiver_info_clear(&r->info);
        loop_cancel(r->loop, &r->idle_check);
        loop_free(r->loop);
        free(r);
        return NULL;
}
