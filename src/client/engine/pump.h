/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes what is ready to a receiver, as far as its credit goes, and fetches payloads that are on disk only.
 * Connects when there is something to write. */

#include "client/state/types.h"

void pump(Peer *p);
