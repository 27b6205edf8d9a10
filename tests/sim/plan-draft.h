/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A plan while it is drawn. The whole plan of a seed is drawn first, then the limits are applied to it, so
 * limits leave the rest as it is. */

#include "base/time-util.h"
#include "sim/plan-draw.h"
#include "sim/plan-profile.h"

#define FOCUS_MAX 16u

typedef struct PlanDraft {
        Plan *plan;
        const Profile *profile;
        uint64_t length_usec;      /* load and faults begin within so long */
        uint64_t focus[FOCUS_MAX]; /* times around which faults happen; load likes to come there, too */
        size_t n_focus;
        size_t allocated; /* of plan->steps */
} PlanDraft;

/* Processes have these numbers in the steps of a draft. They do not depend on how many there are. */
static inline unsigned draft_client(unsigned i)
{
        return 1 + i;
}
static inline unsigned draft_receiver(unsigned i)
{
        return 1 + CLIENTS_MAX + i;
}

/* Appends a step; it is valid until the next call. */
Step *draft_add(PlanDraft *d, StepKind kind, uint64_t at);

void draft_group(PlanDraft *d);
void draft_faults(PlanDraft *d); /* after draft_group() */
void draft_load(PlanDraft *d);   /* after draft_faults() */
