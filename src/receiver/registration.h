/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receiver at discovery: it registers, keeps its lease, returns with its id after a restart of either
 * side, and leaves. Its identity (id and token) is synced before it says that it is ready.
 *
 * While discovery cannot be reached, the receiver goes on serving. When its id is alive at another instance,
 * its state directory may be a copy. So it waits one lease, after which a dead holder would have gone; if
 * the other instance still lives, all state is removed and the receiver becomes a new one. */

#include "base/error.h"
#include "http/http-client.h"
#include "model/receiver-info.h"
#include "receiver/configuration.h"
#include "receiver/phase.h"
#include "runtime/listen.h"
#include "runtime/service.h"
#include "runtime/timer.h"
#include "store/dedup.h"

typedef struct RegistrationEvents {
        void (*disowned)(void *userdata); /* another instance has the id: become a new receiver */
        void (*left)(void *userdata);     /* registration_leave() has ended */
        void (*beat)(void *userdata);     /* a third of the lease is over: time for checks */
} RegistrationEvents;

typedef struct Registration Registration;
struct Registration {
        /* Set by the root before registration_init(). */
        Loop *loop;
        Service *service;
        Db *db;
        const ReceiverConfig *config;
        const ListenerSet *listeners;
        Address server; /* of discovery */
        ReceiverInfo *info;
        Condition *condition;
        LoopWork *idle_check; /* deferred when connections may be permitted */
        /* This process and its state directory: instance, boot, lock. Only a process with the same lock file
         * in the same boot may tell discovery that the previous holder of our id is dead. A copy of the
         * directory has another lock file. */
        DedupIdentity here;
        RegistrationEvents events;
        void *userdata; /* of the events */

        DedupIdentity identity; /* as on disk, loaded by the root; id null: none; token "": never registered
                                 */
        HttpClient *http;
        HttpRequest *request; /* one at most */
        Timer timer;
        void (*next)(Registration *g); /* what the timer begins */
        unsigned failures;             /* in a row */
        char *complaint;               /* the last one that was logged */
        uint64_t lease_usec;
        uint64_t asked;      /* when the last registration was sent; CLOCK_BOOTTIME */
        sd_id128_t previous; /* the instance that has certainly ended, so we replace it; null: none */
        uint64_t dispute;    /* since when another instance has our id; 0: none has it */
        char *local_ip;      /* our address toward discovery; "" over a Unix socket, NULL: not known yet */
        bool registered;
        bool ready; /* READY=1 was sent; once is enough */
        DedupIdentityOp store;
};

int registration_init(Registration *g);
void registration_clear(Registration *g); /* after the database is closed */

void registration_begin(Registration *g);
/* The capacity may have changed: tells discovery with a heartbeat at once, or with the next one if something
 * else is under way. */
void registration_refresh(Registration *g);
/* Tells discovery that the receiver leaves, then calls events.left, from here or from the loop. */
void registration_leave(Registration *g);
/* All state has been removed: the receiver has no id any more. */
void registration_forget(Registration *g);
