/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* To whom a message goes. Equal selectors have equal text, so the text also names the queue of the messages
 * that wait for the same receivers:
 *   to/UUID                      the receiver with that id
 *   to/NAME                      whoever has that name; no name looks like an id
 *   any/GROUP/k=v,k=v            one receiver of GROUP ("": of any group) that has the labels
 *   all/GROUP/…                  every one of them
 *   quorum=K/GROUP/…             every one of them, done when K have acked
 *   key/GROUP/…/KEY              the one of them that owns KEY
 * After the mode: "+plain" includes receivers of plain text, "+follow" includes receivers that join later.
 */

#include "model/receiver-info.h"

typedef enum SelectorMode {
        SELECTOR_TO,
        SELECTOR_ANY,
        SELECTOR_ALL,
        SELECTOR_QUORUM,
        SELECTOR_KEY,
        _SELECTOR_MODE_MAX,
} SelectorMode;

const char *selector_mode_to_string(SelectorMode value); /* "to", "any" … */
int selector_mode_from_string(const char *word);

typedef struct Selector {
        SelectorMode mode;
        sd_id128_t receiver;             /* to: null if there is a name */
        char *name;                      /* to: NULL if there is an id; owned */
        char group[NAME_MAX_LENGTH + 1]; /* all but to; "": every group */
        Label *labels;                   /* all but to; owned, sorted by key and value */
        size_t n_labels;
        bool plain;      /* receivers of plain text too */
        bool follow;     /* all: those that join later too */
        unsigned quorum; /* quorum: how many must ack */
        char *key;       /* key; owned */
} Selector;

void selector_clear(Selector *s); /* frees what it holds and zeroes it */

/* Adds a label to a selector of a group. 0, -ENOMEM, or -E2BIG over LABELS_MAX. */
int selector_add_label(Selector *s, const Label *label);

char *selector_format(const Selector *s);            /* malloc'ed; NULL when out of memory */
int selector_parse(const char *text, Selector *ret); /* 0, -EINVAL, -ENOMEM */
SelectorMode selector_text_mode(const char *text);   /* of a canonical text */

/* A message to several receivers, which has a delivery for each of them. */
static inline bool selector_mode_is_fanout(SelectorMode mode)
{
        return mode == SELECTOR_ALL || mode == SELECTOR_QUORUM;
}

bool selector_matches(const Selector *s, const ReceiverInfo *receiver);
