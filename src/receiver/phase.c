/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/phase.h"

#define MAY_ALL (MAY_ACCEPT | MAY_GREET | MAY_BEGIN | MAY_RUN | MAY_PRUNE)

/* A client that connected before the stop began is still greeted; its new messages are answered busy. */
const uint8_t phase_permits[_PHASE_MAX] = {
                [PHASE_SERVING] = MAY_ALL,
                [PHASE_DRAINING] = MAY_ALL & ~MAY_BEGIN,
                [PHASE_STOPPING] = MAY_GREET | MAY_PRUNE,
                [PHASE_PARTING] = MAY_GREET | MAY_PRUNE,
                [PHASE_FLUSHING] = MAY_GREET | MAY_PRUNE,
                [PHASE_LEAVING] = MAY_GREET | MAY_PRUNE,
};

const uint8_t id_permits[_ID_STATE_MAX] = {
                [ID_NONE] = MAY_BEGIN | MAY_RUN | MAY_PRUNE,
                [ID_OURS] = MAY_ALL,
                [ID_DISPUTED] = MAY_ALL & ~MAY_GREET,
                [ID_RENEWING] = 0,
};

bool condition_drain(Condition *c, bool draining)
{
        const Phase phase = draining ? PHASE_DRAINING : PHASE_SERVING;

        if (condition_is_stopping(c) || c->phase == phase)
                return false;
        c->phase = phase;
        return true;
}
