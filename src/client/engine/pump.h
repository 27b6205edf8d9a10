/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes ready messages to a receiver, up to its credit. Reads payloads that are on disk only. Connects if
 * there is a message to write. */

#include "client/state/types.h"

void pump(Peer *p);
