/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stopping, along the phases of phase.h. Nothing new is begun; what runs is finished, recorded and answered;
 * clients get GOODBYE and answer it; discovery is told, unless the unit is restarted at once; then the loop
 * ends. Each step has a limit of time. */

#include "receiver/intake.h"
#include "receiver/registration.h"
#include "runtime/unit-job.h"

typedef struct Stop {
        /* Set by the root before stop_init(). */
        Loop *loop;
        Service *service;
        const ReceiverConfig *config;
        Condition *condition;
        Conns *conns;
        Intake *intake;
        Registration *registration;
        LoopWork *idle_check; /* deferred when clients have been told */

        GoodbyeReason reason;
        bool killed; /* StopTimeoutSec= is over: what ran has been killed */
        Timer timer;
        UnitJob *unit_job;
} Stop;

int stop_init(Stop *s);
void stop_clear(Stop *s);

void stop_begin(Stop *s);
/* The receiver is idle: goes on to the next phase, if it is stopping. */
void stop_on_idle(Stop *s);
/* For Registration.events: discovery has been told. */
void stop_finish(Stop *s);
