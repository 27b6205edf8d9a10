/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs that send in bulk. Each writes SUBMIT frames on a socket and reads ACCEPTED, REFUSED and
 * SETTLEMENT (docs/PROTOCOL.md, "Bulk submission"). A submission is a message as any other.
 *
 * A program has at most BULK_CREDIT messages open. A message is open until it is settled, or until it is
 * accepted if the program wants no settlements. Beyond that the socket is not read. It is not read either
 * while the program does not read its own answers. A program that never reads them is cut off. */

#include "client/intake/submit.h"

#define BULK_MAX    256u
#define BULK_CREDIT 4096u
/* Bytes of unread answers, from where the socket is not read. */
#define BULK_OUTPUT_MAX ((size_t) 1 << 20)
/* With so many it is cut off. Each open message may still add a reply. */
#define BULK_OUTPUT_END ((size_t) 32 << 20)

typedef struct Bulk Bulk;

/* Filled in by the caller. */
typedef struct BulkOptions {
        Submission submission; /* common to all messages; payload and keys come with each */
        const char *mode;      /* as it was read; submission.mode counts */
        const char *durability;
        bool settlements; /* the program hears of the end of each message */
        bool signals;     /* shown on the bus, as messages of Send are */
} BulkOptions;

/* Takes over `fd`, one end of a socket pair, on success. Copies the options. 0, -EMFILE (too many programs),
 * or an error of client_submit() when the options alone are wrong. */
int bulk_open(Client *c, int fd, const BulkOptions *options, Error *error);

void bulk_ended(Message *m); /* tells its program, if one waits for it */
void bulk_flush(Client *c);  /* writes the answers since the last call */
void bulk_clear(Client *c);
