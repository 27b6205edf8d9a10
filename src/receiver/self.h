/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the receiver says of itself to discovery and to clients: name, group, labels, addresses. */

#include "base/error.h"
#include "model/receiver-info.h"
#include "receiver/configuration.h"
#include "runtime/listen.h"

/* Everything but the id and the addresses. 0, -EINVAL with the reason, or another negative errno. To be
 * freed by receiver_info_clear() in any case. */
int self_describe(ReceiverInfo *info, const ReceiverConfig *config, Error *error);

/* True when Advertise= is empty and a listener is bound to all addresses of the host. Then
 * self_find_addresses() needs the address of this host toward discovery. */
bool self_needs_local_ip(const ReceiverConfig *config, const ListenerSet *listeners);

/* The configured addresses, or where we listen. `local_ip` stands for all addresses of the host; it may be
 * NULL or empty. -EADDRNOTAVAIL when there is no address. */
int self_find_addresses(ReceiverInfo *info, const ReceiverConfig *config, const ListenerSet *listeners,
                const char *local_ip);
