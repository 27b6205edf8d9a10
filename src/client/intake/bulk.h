/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs that send in bulk. Each writes SUBMIT frames to a socket and reads ACCEPTED, REFUSED and
 * SETTLEMENT (docs/PROTOCOL.md, "Bulk submission"). A submission is a message like any other.
 *
 * A program has at most BULK_CREDIT messages open. A message is open until it is settled. If the program
 * wants no settlements, a message is open until it is accepted. The client stops reading the socket while
 * the credit is used up, and while the program does not read its answers. If the unread answers keep
 * growing, the client closes the socket. */

#include "client/intake/submit.h"

#define BULK_MAX    256u
#define BULK_CREDIT 4096u
/* Bytes of unread answers. At this size the client stops reading the socket. */
#define BULK_OUTPUT_MAX ((size_t) 1 << 20)
/* Bytes of unread answers. At this size the client closes the socket. Until then each open message may add
 * an answer. */
#define BULK_OUTPUT_END ((size_t) 32 << 20)

typedef struct Bulk Bulk;

/* Filled in by the caller. */
typedef struct BulkOptions {
        Submission submission; /* common to all messages; payload and keys come with each */
        const char *mode;      /* the word in the options; the client uses submission.mode */
        const char *durability;
        bool settlements; /* the program gets a SETTLEMENT for each message */
        bool signals;     /* the messages appear on the bus, like those of Send */
        bool reply_cut;   /* SETTLEMENT says whether the reply is cut */
} BulkOptions;

/* Takes over `fd`, one end of a socket pair, on success. Copies the options. Returns 0, -EMFILE (too many
 * programs), or an error of client_submit() if the options are wrong. */
int bulk_open(Client *c, int fd, const BulkOptions *options, Error *error);

void bulk_ended(Message *m); /* sends a SETTLEMENT to its program, if one waits for it */
void bulk_flush(Client *c);  /* writes the answers that were added since the last call */
void bulk_clear(Client *c);
