/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Acceptance: a message is checked, gets its receiver where that is known at once, and is on disk before
 * `done` hears of it. */

#include "client/state/types.h"

/* A message to send, filled in by the caller. */
typedef struct Submission {
        SelectorMode mode;
        const char *target;  /* to: id or name; else a group, "" for every receiver */
        const void *payload; /* copied */
        size_t size;
        Label labels[LABELS_MAX]; /* not with to */
        size_t n_labels;
        bool plain;                  /* receivers of bare text too */
        bool follow;                 /* all: those that join later too */
        unsigned quorum;             /* quorum: how many must ack */
        const char *key;             /* key: what is kept in order */
        const char *idempotency_key; /* the sender's own name for this message; NULL: none */
        bool transient;              /* accepted in memory only: lost with this process */
        bool quiet;                  /* not announced, and only what goes wrong is told */
        uint64_t number;             /* handed to `done` */
        uint64_t delay_usec;         /* from now; else policy.start_usec says */
        Policy policy;
        const char *queue; /* of submission_queue() before, for many with the same receivers; NULL: not yet
                            */
} Submission;

/* For whom it is, as the text of a selector (malloc'ed). Errors as below. Not for keeping where the mode is
 * to: who a name means may change. */
int submission_queue(Client *c, const Submission *s, char **ret, Error *error);

/* Called once, from the loop: 0 with the message (of that idempotency key, maybe an older one), or what the
 * disk said. */
typedef void (*SubmitDone)(Message *m, int r, uint64_t number, void *userdata);

/* Errors, with a sentence: -EINVAL; -ENOENT and -ENOTUNIQ (no such receiver, several); -EMSGSIZE; -EDQUOT
 * (the outbox is full); -ESHUTDOWN; -ENOMEM. Then `done` is not called. */
const char *submit_error_name(int r); /* the last part of the name that such an error has on D-Bus */
int client_submit(Client *c, const Submission *submission, SubmitDone done, void *userdata, Error *error);
