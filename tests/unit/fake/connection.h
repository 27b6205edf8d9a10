/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* runtime/connection.h without sockets: the test is the other end of each connection. Flushed bytes reach
 * the test at the end of the iteration, as with real connections. Needs fake/loop.h. */

#include "runtime/connection.h"

/* Returns the n-th open connection, the newest first; `n` counts from 0. NULL: there are fewer. */
Connection *fake_connection(unsigned n);
const Address *fake_connection_address(
                const Connection *s); /* the address of connection_open(); NULL: made by connection_new() */
void *fake_connection_owner(const Connection *s); /* the userdata of its callbacks */

/* Each of these runs the callback at once, as the loop would. */
void fake_connection_accept(Connection *s);                           /* it is connected */
void fake_connection_send(Connection *s, const void *data, size_t n); /* the other end sends bytes */
void fake_connection_half_close(Connection *s);                       /* the other end stops sending */
void fake_connection_end(Connection *s, int error);

/* The bytes that were written and that the test has not consumed yet. */
Buffer *fake_connection_received(Connection *s);
/* The same for the connection that was freed last. */
Buffer *fake_connection_last_words(void);
/* `block`: the other end stops reading, so written bytes stay in the output. */
void fake_connection_block(Connection *s, bool block);
bool fake_connection_is_paused(const Connection *s);
bool fake_connection_is_connecting(const Connection *s);

/* The next connection_open() fails with -error: from the loop if `later`, otherwise at once. */
void fake_connection_fail(int error, bool later);
/* Sets the result of connection_is_possible(). */
void fake_connection_set_possible(bool possible);
