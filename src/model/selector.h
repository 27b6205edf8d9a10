/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whom a message is for. The text form is canonical (equal selectors have equal text), so that it also names
 * the queue of the messages that wait for the same:
 *   to/UUID                      that receiver
 *   any/GROUP/k=v,k=v            one receiver of GROUP ("": of all) that has the labels
 *   any+plain/GROUP/…            the same, where receivers that take bare text will do too */

#include "model/receiver-info.h"

typedef enum SelectorMode {
        SELECTOR_TO,
        SELECTOR_ANY,
        _SELECTOR_MODE_MAX,
} SelectorMode;

const char *selector_mode_to_string(SelectorMode value); /* "to", "any" */
int selector_mode_from_string(const char *word);

typedef struct Selector {
        SelectorMode mode;
        sd_id128_t receiver;             /* to */
        char group[NAME_MAX_LENGTH + 1]; /* any; "": every group */
        Label *labels;                   /* any; owned, sorted by key and value */
        size_t n_labels;
        bool plain; /* any: receivers of bare text too */
} Selector;

void selector_clear(Selector *s); /* frees what it holds and zeroes it */

/* Adds a label to an `any` selector. 0, -ENOMEM, or -E2BIG over LABELS_MAX. */
int selector_add_label(Selector *s, const Label *label);

char *selector_format(const Selector *s);            /* malloc'ed; NULL when out of memory */
int selector_parse(const char *text, Selector *ret); /* 0, -EINVAL, -ENOMEM */
bool selector_matches(const Selector *s, const ReceiverInfo *receiver);
