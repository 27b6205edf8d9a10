/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A program that sends in bulk: it writes SUBMIT frames on a socket and reads ACCEPTED, REFUSED and
 * SETTLEMENT (docs/PROTOCOL.md, "Bulk submission"). Each submission is a message as any other.
 *
 * Bounded: what a program has open, that is, not settled, or not accepted where it wants no settlements, is
 * at most its credit; beyond that its socket is not read, and neither while it does not read its own
 * answers; one that never reads them is cut off. */

#include "client/intake/submit.h"

#define BULK_MAX    256u
#define BULK_CREDIT 4096u
/* Bytes of answers that wait for the program to read them. */
#define BULK_OUTPUT_MAX ((size_t) 1 << 20)
/* With so many it is cut off: what is open may still add a reply each. */
#define BULK_OUTPUT_END ((size_t) 32 << 20)

typedef struct Bulk Bulk;

/* Filled in by the caller. */
typedef struct BulkOptions {
        Submission submission; /* what every message has in common; payload and keys come with each */
        const char *mode;      /* for who reads them; submission.mode counts */
        const char *durability;
        bool settlements; /* the program wants to hear of the end of each, not of its acceptance only */
        bool signals;     /* announced and told on the bus, as messages of Send are */
} BulkOptions;

/* Takes over `fd`, one end of a socket pair. Copies the options. -EMFILE: there are too many; -ENOENT and
 * so on as client_submit(), where the options alone are wrong. */
int bulk_open(Client *c, int fd, const BulkOptions *options, Error *error);

void bulk_ended(Message *m); /* it has come to its end, on disk */
void bulk_flush(Client *c);  /* writes what was gathered since the last call */
void bulk_clear(Client *c);
