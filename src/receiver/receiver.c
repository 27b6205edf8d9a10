/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/receiver.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "model/name.h"
#include "receiver/handler.h"
#include "runtime/conf.h"
#include "runtime/connection.h"
#include "runtime/loop-event.h"
#include "runtime/notify.h"

/* A predecessor that is still stopping holds the lock; longer than it may need unless told otherwise. */
#define LOCK_PATIENCE_USEC (40 * USEC_PER_SEC)
/* A disk that has hung for so long will not come back by waiting: let systemd start us again. */
#define DISK_PATIENCE_USEC (30 * USEC_PER_SEC)
/* What runs when we shall stop may go on for StopTimeoutSec=, and then the rest for so much longer. */
#define STOP_GRACE_USEC (5 * USEC_PER_SEC)
#define STOP_FLUSH_USEC (2 * USEC_PER_SEC)

static const char *instance_of(const Receiver *r)
{
        return r->instance ?: "default";
}

/* Who we say that we are. */

static int find_name(Receiver *r, Error *error)
{
        char host[HOST_NAME_MAX + 1] = "";

        if (!r->name) {
                (void) gethostname(host, sizeof host - 1);
                r->name = r->instance ? str_format("%s@%s", r->instance, host)
                                      : str_format("%d@%s", (int) getpid(), host);
        }
        if (!r->name || str_replace(&r->info.name, r->name) < 0 ||
                        str_replace(&r->info.group, r->group ?: "default") < 0)
                return -ENOMEM;
        if (!name_is_valid(r->info.name))
                return error_set(error, -EINVAL,
                                "\"%s\" cannot be a name: give another by Name=", r->info.name);
        if (!name_is_valid(r->info.group))
                return error_set(error, -EINVAL, "Group=%s is not a name", r->info.group);
        return 0;
}

static int find_labels(Receiver *r, Error *error)
{
        size_t n = strv_length(r->labels);
        int x = 0;

        if (n > LABELS_MAX)
                return error_set(error, -EINVAL, "at most %u labels", LABELS_MAX);
        r->info.labels = calloc(LABELS_MAX, sizeof *r->info.labels);
        if (!r->info.labels)
                return -ENOMEM;
        for (size_t i = 0; i < n && x >= 0; i++)
                x = label_parse(r->labels[i], r->info.labels + r->info.n_labels++, error);
        return x;
}

static int describe(Receiver *r, Error *error)
{
        Address a;
        int x;

        x = find_name(r, error);
        if (x >= 0)
                x = find_labels(r, error);
        if (x >= 0)
                x = random_uuid(NULL, r->info.instance.bytes);
        if (x >= 0 && strv_length(r->advertise) > ADDRESSES_MAX)
                x = error_set(error, -EINVAL, "at most %u addresses can be advertised", ADDRESSES_MAX);
        for (char **s = r->advertise; s && *s && x >= 0; s++)
                x = address_parse(*s, &a, error);
        r->info.capacity = receiver_capacity(r);
        if (x >= 0 && !r->discovery) {
                _cleanup_free_ char *directory = NULL;
                x = conf_runtime_directory(&directory);
                if (x < 0)
                        return error_set(error, x, "cannot find the runtime directory: give Discovery=");
                r->discovery = str_format("unix:%s/discovery.sock", directory);
                x = r->discovery ? 0 : -ENOMEM;
        }
        return x;
}

/* State. */

static void on_rest(void *userdata)
{
        db_kick(((Receiver *) userdata)->db);
}

static int on_db(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Receiver *r = userdata;

        db_dispatch(r->db);
        return 0;
}

static bool is_alive(void *userdata)
{
        Receiver *r = userdata;

        return db_is_alive(r->db, DISK_PATIENCE_USEC);
}

static int find_state_directory(Receiver *r, Error *error)
{
        _cleanup_free_ char *role = str_format("receiver/%s", instance_of(r));
        int x;

        if (!role)
                return -ENOMEM;
        if (r->state_directory)
                x = mkdir_parents(r->state_directory, 0700);
        else
                x = conf_state_directory(role, &r->state_directory);
        if (x < 0)
                return error_set(error, x, "cannot make the state directory %s: %s",
                                r->state_directory ?: "", strerror(-x));
        return 0;
}

/* Takes the lock, and with the warden sees to it that the lock is held for as long as a handler of ours can
 * live. Nothing has been started yet: the warden is forked from a process with one thread. */
static int open_store(Receiver *r, Error *error)
{
        _cleanup_free_ char *path = NULL;
        int x;

        x = find_state_directory(r, error);
        if (x < 0)
                return x;
        path = str_format("%s/receiver.db", r->state_directory);
        if (!path)
                return -ENOMEM;
        x = dedup_open(path, LOCK_PATIENCE_USEC, &r->db, error);
        if (x < 0)
                return x;
        x = warden_start(db_lock_fd(r->db), &r->warden);
        if (x < 0)
                return error_set(error, x, "cannot start the warden of the handlers: %s", strerror(-x));
        x = dedup_load_identity(r->db, &r->identity);
        if (x >= 0 || x == -ENOENT)
                x = dedup_index_new(RECEIVER_STREAMS_MAX, now_usec(CLOCK_MONOTONIC), &r->index);
        if (x >= 0)
                x = dedup_index_load(r->index, r->db);
        r->info.id = r->identity.id;
        return x < 0 ? error_set(error, x, "cannot read %s: %s", path, strerror(-x)) : 0;
}

/* Without it handlers could outlive us unseen. */
static int on_warden(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Receiver *r = userdata;

        log_error("The warden of the handlers has died: ending");
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        loop_exit(r->loop, EXIT_FAILURE);
        return 0;
}

static int start_store(Receiver *r)
{
        int x;

        x = db_start(r->db);
        if (x >= 0)
                x = sd_event_add_io(loop_event(r->loop), &r->db_source, db_fd(r->db), EPOLLIN, on_db, r);
        if (x < 0)
                return x;
        loop_set_post(r->loop, on_rest, r);
        r->warden_pidfd = pidfd_open(r->warden.pid, 0);
        if (r->warden_pidfd < 0)
                return -errno;
        return sd_event_add_io(
                        loop_event(r->loop), &r->warden_source, r->warden_pidfd, EPOLLIN, on_warden, r);
}

/* Listening. */

static void refuse_connection(int fd)
{
        static const char text[] = "this receiver has too many connections";
        Buffer b = {};

        if (frame_encode(&b, &(Frame){.type = FRAME_ERROR,
                                             .text = {(const uint8_t *) text, strlen(text)}}) >= 0)
                connection_refuse(fd, buffer_peek(&b), buffer_size(&b));
        else
                (void) close(fd);
        buffer_clear(&b);
}

static int on_connection(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
        Receiver *r = userdata;
        int fd = listener_accept(&(Listener){.fd = listener});

        if (fd < 0) {
                errno = -fd;
                /* No descriptor is free: the end of a connection frees one and takes this up again. */
                if ((errno == EMFILE || errno == ENFILE) && r->conns.n > 0) {
                        log_warning("Out of file descriptors: new connections must wait");
                        receiver_accept(r, false);
                }
                return 0;
        }
        if (r->conns.n >= CONNECTIONS_DEFAULT_MAX)
                refuse_connection(fd);
        else if (conn_accept(r, fd) < 0)
                (void) close(fd);
        return 0;
}

void receiver_accept(Receiver *r, bool on)
{
        on = on && !r->stopping && !sd_id128_is_null(r->identity.id);
        for (size_t i = 0; r->accepting && i < r->listeners.n; i++)
                (void) sd_event_source_set_enabled(r->accepting[i], on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int bind_default(Receiver *r)
{
        _cleanup_free_ char *directory = NULL, *address = NULL;
        int x = conf_runtime_directory(&directory);

        if (x < 0)
                return x;
        address = str_format("unix:%s/receiver/%s.sock", directory, instance_of(r));
        return address ? strv_append(&r->listen, address) : -ENOMEM;
}

static int start_listening(Receiver *r, Error *error)
{
        char text[ADDRESS_STRING_MAX];
        Address address;
        int x;

        x = listeners_inherit(&r->listeners, error);
        if (x == 0 && strv_length(r->listen) == 0 && bind_default(r) < 0)
                return error_set(error, -ENXIO, "cannot find the runtime directory: give Listen=");
        for (char **s = r->listen; s && *s && x >= 0; s++) {
                x = address_parse(*s, &address, error);
                if (x >= 0)
                        x = listeners_bind(&r->listeners, &address, 0660, error);
        }
        if (x >= 0)
                x = listeners_check_security(&r->listeners, r->allow_insecure, error);
        if (x < 0)
                return x;
        r->accepting = calloc(r->listeners.n, sizeof *r->accepting);
        for (size_t i = 0; r->accepting && i < r->listeners.n; i++) {
                const Listener *l = r->listeners.listeners + i;

                x = sd_event_add_io(loop_event(r->loop), r->accepting + i, l->fd, EPOLLIN, on_connection, r);
                if (x < 0)
                        return error_set(error, x, "cannot listen: %s", strerror(-x));
                log_info("Listening on %s", address_format(&l->address, text));
        }
        return r->accepting ? 0 : -ENOMEM;
}

/* Stopping: no new message is begun, what runs is finished, recorded and answered, and then we leave. */

static void on_left(Receiver *r)
{
        loop_exit(r->loop, 0);
}

static void leave(Receiver *r)
{
        r->left = true;
        (void) timer_arm_in(&r->stop_timer, STOP_GRACE_USEC);
        if (r->restarting)
                on_left(r);
        else
                register_leave(r->registration, on_left);
}

static void lose_patience(Receiver *r)
{
        if (r->jobs.n_running > 0)
                log_warning("A handler has not finished in time: it is killed, and its message comes again");
        else
                log_warning("An outcome has not been written or read in time: it gets a little more");
        r->impatient = true;
        jobs_kill(r);
        (void) timer_arm_in(&r->stop_timer, STOP_GRACE_USEC);
}

static void on_stop_time(void *userdata)
{
        Receiver *r = userdata;

        if (r->left)
                loop_exit(r->loop, 0);
        else if (jobs_are_idle(r)) /* somebody does not read its answer, or says none */
                leave(r);
        else if (!r->impatient)
                lose_patience(r);
        else {
                log_warning("Ending all the same: what was not answered comes again");
                loop_exit(r->loop, 0);
        }
}

/* Nothing is left to do: what was answered shall reach the kernel, and of what is still on its way here its
 * sender shall know that it was not begun. Then discovery is told. */
static void stop_idle(Receiver *r)
{
        if (r->left || !r->told)
                return;
        if (conns_are_parted(r))
                leave(r);
        else if (!r->flushing) {
                r->flushing = true;
                (void) timer_arm_in(&r->stop_timer, STOP_FLUSH_USEC);
        }
}

static void on_unit_job(bool restarting, void *userdata)
{
        Receiver *r = userdata;

        r->restarting = restarting;
        r->told = true;
        conns_goodbye(r, restarting ? GOODBYE_RESTARTING : GOODBYE_STOPPING, false);
        receiver_progress(r);
}

void receiver_stop(void *userdata)
{
        Receiver *r = userdata;

        r->stopping = true;
        notify_stopping();
        service_extend(&r->service, true);
        notify_status("Finishing what runs");
        receiver_accept(r, false);
        (void) timer_arm_in(&r->stop_timer, r->stop_timeout_usec);
        jobs_drop_queued(r);
        if (unit_job_ask(r->loop, on_unit_job, r, &r->unit_job) < 0)
                on_unit_job(false, r);
}

/* Becoming new. */

static void on_reset(DbOp *op, int result)
{
        Receiver *r = CONTAINER_OF(op, Receiver, reset.op);
        DedupIndex *empty = NULL;

        r->reset.op.run = NULL;
        if (result >= 0)
                result = dedup_index_new(RECEIVER_STREAMS_MAX, now_usec(CLOCK_MONOTONIC), &empty);
        if (result < 0) {
                (void) log_error_errno(result, "Cannot forget the state of another receiver");
                loop_exit(r->loop, EXIT_FAILURE);
                return;
        }
        dedup_index_free(r->index);
        r->index = empty;
        r->identity = (DedupIdentity){};
        r->info.id = SD_ID128_NULL;
        r->renewing = false;
        if (!r->stopping)
                register_begin(r->registration);
}

void receiver_become_new(Receiver *r)
{
        r->renewing = true;
        receiver_accept(r, false);
        conns_goodbye(r, GOODBYE_STOPPING, true);
        jobs_drop_queued(r);
        jobs_kill(r);
        receiver_progress(r);
}

void receiver_progress(Receiver *r)
{
        if (!jobs_are_idle(r))
                return;
        if (r->renewing && !r->reset.op.run) {
                dedup_reset_op_init(&r->reset);
                r->reset.op.done = on_reset;
                db_submit(r->db, &r->reset.op);
        }
        if (r->stopping)
                stop_idle(r);
}

static void on_reload(void *userdata)
{
        Receiver *r = userdata;

        r->on_reload(r);
}

int receiver_start(Receiver *r, Error *error)
{
        int x;

        r->warden_pidfd = -1;
        x = describe(r, error);
        if (x >= 0)
                x = handler_init(r, error);
        if (x >= 0)
                x = open_store(r, error);
        if (x < 0)
                return x;
        x = loop_new(receiver_stop, r, &r->loop);
        if (x >= 0)
                x = service_start(&r->service, r->loop, is_alive, r);
        if (x >= 0)
                x = timer_init(&r->stop_timer, r->loop, "stop", on_stop_time, r);
        conns_init(r);
        if (x >= 0)
                x = jobs_init(r);
        if (x >= 0)
                x = start_store(r);
        if (x < 0)
                return error_set(error, x, "cannot start: %s", strerror(-x));
        loop_set_reload(r->loop, on_reload, r);
        x = start_listening(r, error);
        if (x >= 0)
                x = register_new(r, &r->registration, error);
        if (x < 0)
                return x;
        receiver_accept(r, true);
        register_begin(r->registration);
        return 0;
}

int receiver_reload(Receiver *r, Receiver *fresh, Error *error)
{
        int x = handler_init(fresh, error);

        if (x < 0) {
                handler_clear(fresh);
                return x;
        }
        handler_clear(r);
        r->program = TAKE_PTR(fresh->program);
        r->environment = TAKE_PTR(fresh->environment);
        strv_free(r->command);
        r->command = TAKE_PTR(fresh->command);
        r->concurrency = fresh->concurrency;
        r->queue = fresh->queue;
        r->failure_probability = fresh->failure_probability;
        r->plain_text = fresh->plain_text;
        r->handler_timeout_usec = fresh->handler_timeout_usec;
        r->stop_timeout_usec = fresh->stop_timeout_usec;
        r->max_payload = fresh->max_payload;
        conns_share(r);
        jobs_run_next(r);
        register_renew(r->registration);
        return 0;
}

void receiver_config_clear(Receiver *r)
{
        free(r->instance);
        free(r->name);
        free(r->group);
        free(r->discovery);
        free(r->state_directory);
        free(r->log_level);
        strv_free(r->labels);
        strv_free(r->listen);
        strv_free(r->advertise);
        strv_free(r->command);
}

void receiver_clear(Receiver *r)
{
        r->stopping = r->left = true;
        for (size_t i = 0; r->accepting && i < r->listeners.n; i++)
                sd_event_source_disable_unref(r->accepting[i]);
        free(r->accepting);
        listeners_clear(&r->listeners);
        sd_event_source_disable_unref(r->db_source);
        db_close(r->db);
        jobs_clear(r);
        settles_clear(r);
        conns_clear(r);
        register_free(r->registration);
        dedup_index_free(r->index);
        sd_event_source_disable_unref(r->warden_source);
        (void) close_clear(&r->warden_pidfd);
        warden_stop(&r->warden);
        timer_clear(&r->stop_timer);
        service_stop(&r->service);
        unit_job_free(r->unit_job);
        handler_clear(r);
        receiver_info_clear(&r->info);
        loop_free(r->loop);
        receiver_config_clear(r);
}
