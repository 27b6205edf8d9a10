/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One direction between two machines. For the files of the world. */

#include "world/net.h"

/* A SYN without an answer is sent again after so long, doubled each time. */
#define SYN_PAUSE_USEC    USEC_PER_SEC
#define SYN_DOUBLINGS_MAX 6u

typedef struct Link Link;

/* NULL if one of them is NULL: then bytes arrive at once. The world owns it. */
Link *link_between(Machine *from, Machine *to);
/* Something that leaves now, or is due now, arrives. The machine at its end must run, too. */
bool link_carries(const Link *l);
/* Draws how long the next piece takes. */
uint64_t link_delay(const Link *l);
/* Draws how many of `n` bytes, n > 0, arrive together. */
size_t link_piece(const Link *l, size_t n);

void link_world_end(void);
