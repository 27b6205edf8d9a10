/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the receiver may do at the moment. Two facts decide it: how far it is on its way from serving to its
 * end, and whether its id belongs to it. Each has a table of what it permits; an action needs both. */

#include "base/macro.h"

typedef enum Phase {
        PHASE_SERVING,
        PHASE_DRAINING, /* discovery keeps new messages away: they are refused */
        /* From here on the receiver is stopping. */
        PHASE_STOPPING, /* clients have not been told */
        PHASE_PARTING,  /* clients have been told by GOODBYE */
        PHASE_FLUSHING, /* all work is done; the last answers are on their way */
        PHASE_LEAVING,  /* discovery is being told */
        _PHASE_MAX,
} Phase;

typedef enum IdState {
        ID_NONE,     /* discovery has not given us an id yet */
        ID_OURS,     /* as far as we know */
        ID_DISPUTED, /* discovery says that another instance has it: nobody is served under it */
        ID_RENEWING, /* another instance has it: what runs is killed, then all state is removed */
        _ID_STATE_MAX,
} IdState;

typedef enum Permission {
        MAY_ACCEPT = 1 << 0, /* connections */
        MAY_GREET = 1 << 1,  /* answer HELLO by WELCOME */
        MAY_BEGIN = 1 << 2,  /* take new messages; else they are answered busy */
        MAY_RUN = 1 << 3,    /* run handlers for what is queued */
        MAY_PRUNE = 1 << 4,  /* write what senders have settled */
} Permission;

typedef struct Condition {
        Phase phase; /* written by phase, stop and receiver */
        IdState id;  /* written by registration and receiver */
} Condition;

/* Sets of permissions. */
extern const uint8_t phase_permits[_PHASE_MAX], id_permits[_ID_STATE_MAX];

static inline bool condition_permits(const Condition *c, Permission what)
{
        return phase_permits[c->phase] & id_permits[c->id] & what;
}

/* Discovery says whether the receiver drains. True when this changes the phase; never while stopping. */
bool condition_drain(Condition *c, bool draining);

static inline bool condition_is_stopping(const Condition *c)
{
        return c->phase >= PHASE_STOPPING;
}
