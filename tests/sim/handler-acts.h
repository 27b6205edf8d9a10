/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one handler will do, decided when it begins. Only for handler.c. */

#include "sim/plan.h"

#define ACTS_MAX 8u

typedef enum ActKind {
        ACT_EFFECT,
        ACT_PROGRESS,
        ACT_ERROR, /* an "error" line */
        ACT_RETRY, /* a "retry" line */
        ACT_TALK,  /* many lines */
        ACT_FORK,
        ACT_KILL, /* its receiver */
        ACT_END,  /* of the leader */
} ActKind;

typedef struct Act {
        uint64_t at; /* µs after its beginning */
        ActKind kind;
        unsigned value; /* of a report: percent, or milliseconds; of talk: how many lines */
} Act;

typedef struct Acts {
        Act acts[ACTS_MAX]; /* in order of time */
        unsigned n;
        unsigned status;     /* as for world_child_end() */
        unsigned reply_size; /* bytes of its output; 0: none */
        uint64_t random;     /* the numbers of this run alone */
} Acts;

typedef struct ActsInput {
        const PlannedMessage *message;
        unsigned n_earlier; /* runs of this message before */
        HandlerMood mood;
        bool cannot_execute;
        uint64_t random;
} ActsInput;

void acts_decide(const ActsInput *input, Acts *ret);
uint64_t acts_random(Acts *a, uint64_t n); /* [0, n) */
bool status_is_reject(unsigned status);
