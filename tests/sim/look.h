/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks at the group when it is at rest. */

void look_at_memory(void); /* OBS_MEMORY of each process that runs */
void look_at_state(void);  /* OBS_DEDUP of each receiver; all must be down */
