/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The others around a client, who do anything at any time: discovery, receivers a to e, and a program that
 * sends in bulk. They check what the client says to them. Include it behind cmocka.h. */

#include "client-fixture.h"

#define N_RECEIVERS 5u /* e takes plain text */

/* Everything that is random follows from the seed, in the client too. */
uint64_t dice(uint64_t n); /* 0 to n - 1 */
bool chance(unsigned percent);

void crowd_begin(uint64_t seed);
void crowd_mend(void); /* from now on all are there and ack what they get */

void answer_discovery(void);
void change_receivers(void); /* one comes, goes, drains or moves */
void serve_connections(void);

void serve_program(void);
void program_forget(void); /* its client has ended */
void program_check_all_told(void);
