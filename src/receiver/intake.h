/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a message means and what becomes of it. A MESSAGE is known, in progress, settled, or to be run; what
 * is to be run becomes a job if there is room, else it is answered busy. A job goes from the queue to its
 * handler, from there to the record, and ends. CANCEL goes the same way without a handler. */

#include "receiver/handler.h"
#include "receiver/record.h"
#include "receiver/reply.h"
#include "receiver/settle.h"
#include "receiver/working.h"

typedef struct Intake {
        /* Set by the root. */
        Loop *loop;
        const ReceiverConfig *config;
        const ReceiverInfo *info;
        Conns *conns;
        DedupIndex *index;
        Jobs *jobs;
        Handler *handler;
        Recorder *recorder;
        Replies *replies;
        Settles *settles;
        Working *working;
        bool unsure; /* records were lost (store/damage.h): what is not recorded may have run all the same */

        Timer give_back;
} Intake;

int intake_init(Intake *in); /* 0 or negative errno */
void intake_clear(Intake *in);

/* Frames. A negative return breaks the protocol: the connection ends with `error`. */
int intake_message(Intake *in, const Sender *sender, const MessageFrame *m, Error *error);
int intake_cancel(Intake *in, const Sender *sender, const CancelFrame *f, Error *error);
bool intake_text(Intake *in, const Sender *sender, Bytes text); /* false: no room */

/* For Handler.done and Recorder.done; `userdata` is the Intake. */
void intake_on_handler_end(Job *job, HandlerEnd end, uint8_t *data, size_t size, void *userdata);
void intake_on_recorded(sd_id128_t stream, bool wanted, void *userdata);

void intake_run_next(Intake *in); /* starts handlers, as many as may run */
/* The receiver died while it ran this alone: records that the attempt has failed. */
void intake_charge(Intake *in, Run *run);
void intake_drop_queued(Intake *in); /* answers busy what has not been started */
bool intake_is_idle(const Intake *in);
