/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One receiver. Its root owns the loop, the database, the warden and all parts, and wires them. From the top
 * down; a part calls those on lower lines only:
 *
 *   accept stop             listening sockets; the way to the end
 *   registration intake     the receiver at discovery; what a message means and what becomes of it
 *   handler record reply settle working
 *   job                     the queue
 *   conn                    connections, answers, credit
 *   dedup runs phase self   values and memory
 *
 * A part reports upward through callbacks that the root has set, or through `idle_check`. Whoever ends a
 * job, a connection or an answer defers that work. At the end of the loop's iteration the root checks
 * whether the receiver is idle, and does what waits for that. */

#include "daemon/database.h"
#include "receiver/accept.h"
#include "receiver/configuration.h"
#include "receiver/stop.h"

typedef struct Receiver Receiver;
struct Receiver {
        ReceiverConfig *config;
        Loop *loop;
        Service service;
        Db *db;
        Database database;
        Runs *runs;
        Warden warden;
        Watch warden_watch;

        ReceiverInfo info; /* what we say of ourselves; written by registration too */
        Condition condition;
        DedupIndex *index;
        Conns conns;
        Jobs jobs;
        Handler handler;
        Recorder recorder;
        Replies replies;
        Settles settles;
        Working working;
        Intake intake;
        Registration registration;
        Acceptor acceptor;
        Stop stop;

        LoopWork idle_check;
        DedupResetOp reset;
        bool resetting; /* the reset is with the database */
};

/* `config` outlives the receiver; receiver_reload() changes it. Negative errno with the reason; -EPERM when
 * AllowInsecure= is missing. */
int receiver_new(ReceiverConfig *config, Receiver **ret, Error *error);
Receiver *receiver_free(Receiver *r);
DEFINE_CLEANUP(Receiver *, receiver_free)

/* Takes over from `fresh` what can change while it runs: command, concurrency, queue, limits. When it fails,
 * nothing has changed. */
int receiver_reload(Receiver *r, ReceiverConfig *fresh, Error *error);

/* Refuses what the two above would refuse, as far as the configuration alone tells: a name that is not
 * valid, an address that others can reach, a handler that cannot be run. Negative errno with the reason. */
int receiver_check(const ReceiverConfig *config, Error *error);
