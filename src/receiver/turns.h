/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whose turn it is, when more senders want a place than there are. A sender that was refused waits. A place
 * that becomes free is offered to the one that has waited longest, and kept for it for a moment: so that
 * senders with much to send do not take every place before the others. */

#include "base/macro.h"

#define TURN_OFFER_USEC 1000000u /* so long a place is kept */

typedef struct Turn Turn;
struct Turn {
        bool waits, offered;
        bool refused;   /* no message was taken since the last one that was refused */
        uint64_t until; /* the offer */
        Turn *prev, *next;
};

typedef struct Turns {
        Turn *waiting, *offers; /* the oldest first */
        size_t n_offers;
} Turns;

/* `n_free`: places that are free. True: this one may take a place. */
bool turn_may_take(const Turns *ts, const Turn *t, size_t n_free);
void turn_taken(Turns *ts, Turn *t);
void turn_refused(Turns *ts, Turn *t);
void turn_leave(Turns *ts, Turn *t);

/* Offers a place to the next one and returns it; NULL: nobody waits, or all free places are offered. */
Turn *turns_offer(Turns *ts, size_t n_free, uint64_t now);
/* Takes back what was offered for too long. Returns when the next offer ends; USEC_INFINITY: there is none.
 */
uint64_t turns_expire(Turns *ts, uint64_t now);
