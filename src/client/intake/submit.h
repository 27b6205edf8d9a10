/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Acceptance: checks a message, chooses its receiver where that is clear, and writes it to disk. `done` is
 * called when that is synced. */

#include "client/state/types.h"

/* A message to send, filled in by the caller. */
typedef struct Submission {
        SelectorMode mode;
        const char *target;  /* to: id or name; else a group, "" for every receiver */
        const void *payload; /* copied */
        size_t size;
        Label labels[LABELS_MAX]; /* not with to */
        size_t n_labels;
        bool plain;                  /* also receivers of plain text */
        bool follow;                 /* all: also those that join later */
        unsigned quorum;             /* quorum: how many must ack */
        const char *key;             /* key: messages of one key go one after the other */
        const char *idempotency_key; /* the sender's own name for the message; NULL: none */
        bool transient;              /* accepted in memory only: lost with this process */
        bool quiet;                  /* not announced; the observer hears only of failures */
        uint64_t number;             /* passed to `done` */
        uint64_t delay_usec;         /* from now; else policy.start_usec says */
        Policy policy;
        const char *queue; /* what submission_queue() said; NULL: it is asked */
} Submission;

/* The selector of its receivers, as text (malloc'ed). Errors as below. Do not keep it where the mode is to:
 * the name may mean another receiver later. */
int submission_queue(Client *c, const Submission *s, char **ret, Error *error);

/* Called once, from the loop: 0 and the message, or NULL and what the disk said. With an idempotency key it
 * may be the message that was accepted under that key before. */
typedef void (*SubmitDone)(Message *m, int r, uint64_t number, void *userdata);

/* Errors, with a sentence: -EINVAL; -ENOENT and -ENOTUNIQ (no such receiver, several); -EMSGSIZE; -EDQUOT
 * (the outbox is full); -ESHUTDOWN; -ENOMEM. Then `done` is not called. */
const char *submit_error_name(int r); /* the last part of the name that such an error has on D-Bus */
int client_submit(Client *c, const Submission *submission, SubmitDone done, void *userdata, Error *error);
