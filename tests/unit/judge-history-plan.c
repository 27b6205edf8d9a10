/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "judge-history.h"

#include "base/time-util.h"

static Step steps[MANY + 1];

static void plan_send(unsigned number, PlannedMessage m)
{
        m.number = number;
        m.priority = 4;
        steps[number] = (Step){.index = number + 1, .kind = STEP_SEND, .message = m};
}

Plan history_plan(void)
{
        plan_send(TO_R0, (PlannedMessage){.mode = SELECTOR_TO});
        plan_send(TO_R0_AGAIN, (PlannedMessage){.mode = SELECTOR_TO});
        plan_send(ANY, (PlannedMessage){.mode = SELECTOR_ANY});
        plan_send(QUORUM, (PlannedMessage){.mode = SELECTOR_QUORUM, .quorum = 2});
        plan_send(ALL, (PlannedMessage){.mode = SELECTOR_ALL});
        plan_send(KEY, (PlannedMessage){.mode = SELECTOR_KEY, .key = 1});
        plan_send(KEY_NEXT, (PlannedMessage){.mode = SELECTOR_KEY, .key = 1});
        plan_send(KEY_ONCE, (PlannedMessage){.mode = SELECTOR_KEY, .key = 1, .max_attempts = 1});
        plan_send(IN_MEMORY, (PlannedMessage){.mode = SELECTOR_TO, .transient = true});
        plan_send(IDEMPOTENT, (PlannedMessage){.mode = SELECTOR_TO, .idempotency = 5});
        plan_send(IDEMPOTENT_AGAIN, (PlannedMessage){.mode = SELECTOR_TO, .idempotency = 5});
        plan_send(TWO_ATTEMPTS, (PlannedMessage){.mode = SELECTOR_TO, .max_attempts = 2});
        plan_send(URGENT, (PlannedMessage){.mode = SELECTOR_TO});
        steps[URGENT].message.priority = 9;
        plan_send(URGENT_ANY, (PlannedMessage){.mode = SELECTOR_ANY});
        steps[URGENT_ANY].message.priority = 9;
        plan_send(DELAYED, (PlannedMessage){.mode = SELECTOR_TO, .delay_usec = 10 * USEC_PER_SEC});
        plan_send(WITH_DEADLINE, (PlannedMessage){.mode = SELECTOR_TO, .deadline_usec = 10 * USEC_PER_SEC});
        plan_send(KEY_LOW, (PlannedMessage){.mode = SELECTOR_KEY, .key = 2});
        steps[KEY_LOW].message.priority = 0;
        plan_send(MANY, (PlannedMessage){.mode = SELECTOR_ANY});
        steps[MANY].kind = STEP_BULK;
        steps[MANY].b = MANY_LAST - MANY + 1;
        return (Plan){.n_machines = 2,
                        .n_clients = 1,
                        .n_receivers = 3,
                        .group_of_receiver = {1, 1, 1},
                        .machine_of_client = {1},
                        .machine_of_receiver = {1, 1, 1},
                        .concurrency = {2, 2, 2},
                        .queue = {4000, 4000, 4000},
                        .stop_timeout_usec = 10 * USEC_PER_SEC,
                        .backoff_usec = 100 * USEC_PER_MSEC,
                        .backoff_max_usec = USEC_PER_SEC,
                        .lease_usec = 30 * USEC_PER_SEC,
                        .ack_timeout_usec = USEC_PER_SEC,
                        .handler_timeout_usec = 20 * USEC_PER_SEC,
                        .patience_usec = 10 * USEC_PER_SEC,
                        .n_messages = N_MESSAGES,
                        .steps = steps,
                        .n_steps = MANY + 1};
}
