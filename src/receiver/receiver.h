/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One receiver: the root object that owns the loop, the database, the listening sockets, and the parts that
 * do the work.
 *
 *   receiver-conn      connections: frames and bare text in, answers out, credit
 *   receiver-job       messages: verdict, queue, handler, record, answer
 *   receiver-handler   one run of the handler
 *   receiver-settle    what senders have settled, on its way to the disk
 *   receiver-register  who we are to discovery
 *   receiver-dedup     what is known of messages, in memory
 *   receiver-warden    the end of handlers when this process dies
 *
 * An answer is found its connection by number: a job outlives the connection that asked for it, and the
 * connection that asked last gets the answer. */

#include <systemd/sd-event.h>

#include "model/receiver-info.h"
#include "receiver/conn.h"
#include "receiver/dedup.h"
#include "receiver/job.h"
#include "receiver/registration.h"
#include "receiver/settle.h"
#include "receiver/warden.h"
#include "runtime/listen.h"
#include "runtime/loop.h"
#include "runtime/service.h"
#include "runtime/unit-job.h"

#define CONCURRENCY_MAX 1000u
#define QUEUE_MAX       100000u

typedef struct Receiver Receiver;
struct Receiver {
        char *instance, *name, *group, *discovery, *state_directory, *log_level;
        char **labels, **listen, **advertise, **command;
        unsigned concurrency, queue;
        double failure_probability;
        bool plain_text, allow_insecure;
        uint64_t handler_timeout_usec, stop_timeout_usec, max_payload;
        void (*on_reload)(Receiver *r);

        Loop *loop;
        Service service;
        Db *db;
        sd_event_source *db_source;
        Warden warden;
        sd_event_source *warden_source;
        int warden_pidfd;
        ListenerSet listeners;
        sd_event_source **accepting; /* one for each listener */

        ReceiverInfo info;      /* what we say of ourselves */
        DedupIdentity identity; /* as on disk; id null: never registered */
        char *program;          /* of the handler; NULL: the built-in one */
        char **environment;     /* ours, without what systemd means for us alone */

        DedupIndex *index;
        Conns conns;
        Jobs jobs;
        Settles settles;
        Register *registration;

        bool draining; /* discovery says so: what is new is refused */
        bool disputed; /* discovery says that our id is alive elsewhere: nobody is served under it */
        bool renewing; /* on the way to become a new receiver */
        DedupResetOp reset;
        bool stopping;   /* asked to */
        bool impatient;  /* what runs has been killed */
        bool flushing;   /* all is done but for answers that are not with the kernel yet */
        bool told;       /* clients have been told that we end */
        bool restarting; /* we are started again at once: discovery is not told that we leave */
        bool left;       /* discovery is being told */
        UnitJob *unit_job;
        Timer stop_timer;
};

int receiver_start(Receiver *r, Error *error);
void receiver_stop(void *userdata); /* finishes what runs, leaves, ends the loop */
void receiver_clear(Receiver *r);
void receiver_config_clear(Receiver *r); /* what comes from the configuration */
/* Takes over from `fresh` what can change while it runs: command, concurrency, queue, limits. */
int receiver_reload(Receiver *r, Receiver *fresh, Error *error);

/* Messages that may be queued and running at once, over all connections. */
static inline unsigned receiver_capacity(const Receiver *r)
{
        return r->concurrency + r->queue;
}

/* Connections are (again) taken, if we are somebody and not stopping. */
void receiver_accept(Receiver *r, bool on);

/* A job or an answer is gone: what waited for that (stopping, becoming a new receiver) goes on. */
void receiver_progress(Receiver *r);

/* Everything that is known belongs to an id that is another's: forget it, and register as a new receiver. */
void receiver_become_new(Receiver *r);
