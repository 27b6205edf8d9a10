/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kinds of run. A profile says what may be in a plan, and how often; the seed then switches whole kinds
 * of faults and load on or off, so that rare combinations appear. */

#include "sim/plan.h"

typedef struct Range {
        unsigned min, max;
} Range;

/* What a part of the messages has. Percent, at most; the seed draws how much of it, often none. */
typedef enum Feature {
        FEATURE_BULK,        /* of the messages come in bulk */
        FEATURE_IDEMPOTENCY, /* have an idempotency key */
        FEATURE_REPEAT,      /* are handed over again with the same one */
        FEATURE_PRIORITY,
        FEATURE_DELAY,
        FEATURE_DEADLINE,
        FEATURE_ATTEMPTS,  /* have a limit of attempts */
        FEATURE_TRANSIENT, /* are accepted in memory only */
        FEATURE_FOLLOW,    /* of those to all: receivers that join later too */
        FEATURE_POISON,    /* kill their receiver */
        FEATURE_FAILURES,  /* fail a few times */
        FEATURE_LEAVES,    /* their caller does not wait */
        FEATURE_LARGE,     /* have a large payload */
        FEATURE_LONG,      /* work long, up to the time limit and above it */
        FEATURE_CANCEL,    /* are cancelled */
        FEATURE_REVIVE,    /* for each: dead letters are retried */
        FEATURE_PURGE,     /* for each: dead letters are purged */
        FEATURE_INSIST,    /* a program retries dead letters at once */
        _FEATURE_MAX,
} Feature;

typedef struct Profile {
        const char *name, *text; /* text: for people */
        unsigned weight;         /* how often seeds choose it */
        unsigned percent;        /* of all seeds choose it before the weights are asked */
        Range clients, receivers, machines, messages, faults, seconds;
        unsigned char fault[_STEP_KIND_MAX];                             /* weights */
        unsigned char mood[_HANDLER_MOOD_MAX], mode[_SELECTOR_MODE_MAX]; /* weights; none: the usual ones */
        unsigned char feature[_FEATURE_MAX]; /* where it differs from the usual */
        bool bare;                           /* no features but those of `feature` */
        bool crowded;                        /* little credit, small outboxes */
        bool slow_disk;                      /* syncs take up to seconds */
        bool slow_net;                       /* delays up to the ack timeout */
        bool fast;                           /* nothing slows it down: for speed */
} Profile;

extern const Profile profiles_table[];         /* the last one has no name */
const Profile *profile_find(const char *name); /* NULL: there is none */
const Profile *profile_draw(uint64_t seed);
unsigned profile_mood_weight(const Profile *f, HandlerMood mood);
unsigned profile_mode_weight(const Profile *f, SelectorMode mode);
unsigned profile_feature(const Profile *f, Feature feature); /* percent, at most */
