/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the simulator sees of a run, in order. The judge checks promises with it; the trace and the story are
 * printed from it; the hash of a run is made of it. Nothing here comes from a daemon's own counters: it is
 * what callers are told, what handlers do, what is on the wire, what is on a disk, and what the simulator
 * itself does to the group. */

#include <systemd/sd-id128.h>

#include "model/delivery.h"
#include "model/message-event.h"
#include "sim/plan.h"
#include "wire/frame.h"
#include "world/net.h"

typedef enum ObservationKind {
        /* The simulator */
        OBS_STEP,       /* a step of the plan begins: `step` */
        OBS_FAULTS_END, /* from here on nothing is broken any more; liveness is judged from here */
        OBS_START,      /* `process` is started */
        OBS_EXIT,       /* `process` ended by itself with `number` as status */
        OBS_KILL,       /* `process` was killed */
        OBS_POWER_OFF,  /* the machine of `process` lost power; OBS_KILL of its processes came before */
        OBS_LOG, /* `process` logged `text` at level `number`; `flagged`: base/log leaves it out, since
                    there were too many of its kind */

        /* Callers of a client (`process`). `message` is the number of the message in the plan. */
        OBS_SUBMIT,        /* a caller hands it over */
        OBS_ACCEPT,        /* accepted, with `id`; `detail` 1: an earlier message with this key */
        OBS_REFUSE,        /* refused: `text` */
        OBS_LOSE_CALLER,   /* the client ended, or the caller left, before an answer */
        OBS_CANCEL,        /* a caller asks to cancel `id`; `number`: 0 or the error */
        OBS_REVIVE,        /* a caller retries the dead letter `id`; `number`: 0 or the error */
        OBS_PURGE,         /* a caller purges `id`; `number`: 0 or the error */
        OBS_MESSAGE_EVENT, /* the client reports `number` (MessageEvent) of `id`: `attempt`, `text` */
        OBS_END,           /* the client reports the end of `id`: `state`; `detail` 1: on disk. `flagged`: a
                              program has read it, perhaps long after the client said so */
        OBS_LOAD,          /* after a start: the client has `id` in `state` (of the whole message) */
        OBS_LOADED,        /* all OBS_LOAD of this start came before */

        /* Handlers of a receiver (`process`) */
        OBS_RUN,    /* begins: `id`, `stream`, `sequence`, `attempt`, `receiver`, `flagged`; `number`: of the
                       run; `state`: number of the start of the receiver that began it, or 0 */
        OBS_EFFECT, /* run `number` has had its effect, once and for ever */
        OBS_RUN_END,    /* run `number` ended; `detail`: RunEnd */
        OBS_RUN_MISSED, /* a handler was killed before it began (so there is no run), and its receiver will
                           see that: fields as in OBS_RUN, but no `number` */

        /* The wire: `from` to `to` on connection `number` */
        OBS_OPEN,
        OBS_WRITE,   /* `frame` was written */
        OBS_DELIVER, /* `frame` was read */
        OBS_CLOSE,   /* the end of `from`; `flagged`: some of its output was not written */
        OBS_GARBAGE, /* bytes that are no frame: `text` */

        /* State, looked at by the simulator: */
        OBS_DEDUP,  /* receiver `process` remembers `number` records and `sequence` streams */
        OBS_MEMORY, /* `process` has `number` live objects, `sequence` bytes, `attempt` descriptors */
        OBS_OVER,   /* the run is over; everything above has been seen */
        _OBS_MAX,
} ObservationKind;

typedef enum RunEnd { RUN_DONE, RUN_FAILED, RUN_REJECTED, RUN_KILLED } RunEnd;

typedef struct Observation {
        ObservationKind kind;
        uint64_t at;    /* CLOCK_BOOTTIME; filled in by observe() */
        uint64_t since; /* OBS_WRITE: when the writer handed the frame to its connection; the kernels may
                           have had no room for it until now */
        uint64_t index; /* from 1; filled in by observe() */
        Process *process;
        const Step *step;
        uint64_t message;
        sd_id128_t id, stream, receiver;
        uint64_t sequence, number;
        uint32_t attempt;
        int state, detail;
        bool flagged;
        const char *text;
        const NetEvent *net;
        const Frame *frame;
} Observation;

/* Numbers the observation, adds it to the hash, and gives it to the trace, the story and the judge. */
void observe(Observation o);
