/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Acceptance: checks a message, binds it to a receiver if the choice is clear, and writes it to disk. Calls
 * `done` when the write is synced. */

#include "client/state/types.h"

/* A message to send, filled in by the caller. */
typedef struct Submission {
        SelectorMode mode;
        const char *target;  /* mode to: id or name; other modes: a group, "" for every receiver */
        const void *payload; /* copied */
        size_t size;
        Label labels[LABELS_MAX]; /* not with mode to */
        size_t n_labels;
        bool plain;                  /* also receivers of plain text */
        bool follow;                 /* mode all: also receivers that join later */
        unsigned quorum;             /* mode quorum: how many receivers must ack */
        const char *key;             /* mode key: messages with one key are delivered one after the other */
        const char *idempotency_key; /* the sender's name for the message; NULL: none */
        bool transient;              /* accepted in memory only: lost if this process ends */
        bool quiet;                  /* not announced; the observer gets only failures */
        uint64_t number;             /* passed to `done` */
        uint64_t delay_usec;         /* from now; 0: policy.start_usec is the start */
        Policy policy;
        const char *queue; /* the result of submission_queue(); NULL: client_submit() calls it */
} Submission;

/* Returns the selector of the receivers as text in `ret` (malloc'ed). Errors: as for client_submit(). Do not
 * keep the text for mode to: the name may mean another receiver later. */
int submission_queue(Client *c, const Submission *s, char **ret, Error *error);

/* Called once, from the loop: with the message and 0, or with NULL and an error of the disk. With an
 * idempotency key, `m` may be an earlier message with the same key. */
typedef void (*SubmitDone)(Message *m, int r, uint64_t number, void *userdata);

/* The last part of the D-Bus error name for an error of client_submit(). */
const char *submit_error_name(int r);
/* Returns 0, or with a sentence in `error`: -EINVAL, -ENOENT (no such receiver), -ENOTUNIQ (several),
 * -EMSGSIZE, -EDQUOT (the outbox is full), -ESHUTDOWN or -ENOMEM. On failure it does not call `done`. */
int client_submit(Client *c, const Submission *submission, SubmitDone done, void *userdata, Error *error);
