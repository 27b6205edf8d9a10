/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* runtime/connection.h without sockets: a test is the other end of each connection. Bytes that are flushed
 * reach it at the end of the iteration, as with the real one. Needs fake/loop.h. */

#include "runtime/connection.h"

/* The connections that are open, the newest first; `n` counts from 0. NULL: there are not so many. */
Connection *fake_connection(unsigned n);
const Address *fake_connection_address(
                const Connection *s);             /* of connection_open(); NULL: connection_new() */
void *fake_connection_owner(const Connection *s); /* the userdata of its callbacks */

/* Each of these calls back at once, as from the loop. */
void fake_connection_accept(Connection *s);                           /* it is connected */
void fake_connection_send(Connection *s, const void *data, size_t n); /* bytes come from the other end */
void fake_connection_half_close(Connection *s);                       /* the other end sends no more */
void fake_connection_end(Connection *s, int error);

/* What was written and not consumed yet. */
Buffer *fake_connection_received(Connection *s);
/* The same of the connection that was freed last. */
Buffer *fake_connection_last_words(void);
/* The other end reads nothing: what is written stays in the output. */
void fake_connection_block(Connection *s, bool block);
bool fake_connection_is_paused(const Connection *s);
bool fake_connection_is_connecting(const Connection *s);

/* The next connection_open() fails with -error, from the loop if `later`, else at once. */
void fake_connection_fail(int error, bool later);
/* What connection_is_possible() says. */
void fake_connection_set_possible(bool possible);
