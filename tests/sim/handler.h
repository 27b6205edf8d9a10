/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the handlers of a run do: how long they work, when they have their effect, how they end. The message
 * says it (PlannedMessage), the mood of the receiver, and random numbers. */

#include "sim/observation.h"
#include "world/process-child.h"

/* A payload begins with the number of its message, and the rest follows from the number. Fewer than
 * PAYLOAD_SIZE_MIN bytes are not possible. */
#define PAYLOAD_SIZE_MIN 8u
size_t payload_size(const PlannedMessage *m);
void payload_fill(uint64_t number, uint8_t *ret, size_t size);
/* False: it is not what payload_fill() wrote. */
bool payload_read(const void *data, size_t size, uint64_t *ret_number);

/* A handler that acks replies with the number of its message and of its run, with nothing, or with more than
 * the receiver keeps. False: it is no such reply. An empty one has the numbers 0. */
#define REPLY_KEPT 240u /* bytes */
bool reply_read(const void *data, size_t size, uint64_t *ret_message, uint64_t *ret_run);

/* Returns the message with this number; NULL: there is none. */
typedef const PlannedMessage *(*HandlerFind)(uint64_t number, void *userdata);

/* To be called after world_begin(). `plan` must live until handlers_end(), which is called before
 * world_end(). Runs are observed as OBS_RUN, OBS_EFFECT and OBS_RUN_END, all of them with the number of the
 * run, the process, and `message`. `detail` of OBS_RUN is 1 if the payload is damaged; then `message` is 0.
 * `sequence` of OBS_RUN_END is the number of bytes that the handler has written as its reply.
 *
 * OBS_RUN_END comes when the whole group is dead. So it can come later than the end of the leader, which
 * decides `detail`, but never later than the receiver's answer. OBS_RUN_MISSED is no run, and has no number.
 */
void handlers_begin(const Plan *plan, HandlerFind find, void *userdata);
void handlers_end(void);

/* The receiver's number in the plan. */
void handlers_set_mood(unsigned receiver, HandlerMood mood);
/* The same for a process that is not in the plan, such as a clone. */
void handlers_set_mood_of(Process *p, HandlerMood mood);

uint64_t handlers_n_runs(void);
uint64_t handlers_n_effects(void);
