/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A receiver, as it registers at discovery and as clients read it there. */

#include <systemd/sd-id128.h>

#include "model/address.h"

typedef struct Label {
        char key[NAME_MAX_LENGTH + 1];
        char value[NAME_MAX_LENGTH + 1];
} Label;

/* Which host Unix sockets are on. Null ids are not known. A machine id may be that of a clone, and
 * containers of one host may have different ones; a boot id changes with each boot, and containers of one
 * host share it. */
typedef struct HostMark {
        sd_id128_t machine; /* made from the machine id */
        sd_id128_t boot;
} HostMark;

/* True only if neither id speaks for one host. */
bool host_mark_differs(const HostMark *a, const HostMark *b);

typedef struct ReceiverInfo {
        sd_id128_t id;       /* null before the first registration */
        sd_id128_t instance; /* new at each start of the receiver; null for a plain one */
        char *name;
        char *group;
        Label *labels;
        size_t n_labels;
        Address *addresses; /* in the order in which a client tries them */
        size_t n_addresses;
        uint32_t capacity; /* messages that it takes at once: concurrency plus queue */
        HostMark host;     /* where its Unix addresses are */
        bool draining;     /* it gets no new messages */
        bool plain;        /* registered through the seed API: plain text, at-least-once */
} ReceiverInfo;

/* Frees what the record holds (not the record) and zeroes it. */
void receiver_info_clear(ReceiverInfo *info);
int receiver_info_copy(const ReceiverInfo *from, ReceiverInfo *ret); /* 0 or -ENOMEM */
bool receiver_info_equal(const ReceiverInfo *a, const ReceiverInfo *b);

/* "key=value" → *ret; -EINVAL with the reason in `error`. */
int label_parse(const char *s, Label *ret, Error *error);

/* True when every selector is a label of the receiver. */
bool receiver_info_has_labels(const ReceiverInfo *info, const Label *selectors, size_t n);
