/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Acceptance: a message is checked, gets its receiver where that is known at once, and is on disk before
 * `done` hears of it. */

#include "client/client.h"

typedef struct Submission {
        SelectorMode mode;
        const char *target;  /* to: id or name; any: group, "" for every receiver */
        const void *payload; /* copied */
        size_t size;
        Label labels[LABELS_MAX]; /* any */
        size_t n_labels;
        bool plain; /* any: receivers of bare text too */
} Submission;

/* Called once, from the loop: 0 with the message, or what the disk said. */
typedef void (*SubmitDone)(Message *m, int r, void *userdata);

/* Errors, with a sentence: -EINVAL; -ENOENT and -ENOTUNIQ (no such receiver, several); -EMSGSIZE; -EDQUOT
 * (the outbox is full); -ESHUTDOWN; -ENOMEM. Then `done` is not called. */
int client_submit(Client *c, const Submission *submission, SubmitDone done, void *userdata, Error *error);
