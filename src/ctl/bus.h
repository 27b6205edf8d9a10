/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bus connection to a client, and calls to it. Where a function here returns an exit code that is not 0,
 * it has already printed the reason. */

#include "ctl/ctl.h"

/* Connects. Without --user, --system, -H and -M it uses the system bus; if only the session bus has the
 * service, it uses that one. Returns 0 or an exit code. */
int bus_connect(Ctl *c);
void bus_disconnect(Ctl *c);

/* Creates a call to the manager. The caller appends the arguments and passes the result to bus_call().
 * Returns 0 or more, or negative errno. */
int bus_new_call(Ctl *c, sd_bus_message **ret, const char *method);

/* Sends the call and waits for the reply. `made`: the result of creating the call; if it is a negative
 * errno, this function prints the error. Returns 0 or an exit code. On failure c->hopeless says whether the
 * next call would fail in the same way. */
int bus_call(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret);

/* The same; but if the client is older than the method, it prints nothing, returns 0, and *ret_known is
 * false.
 */
int bus_call_if_known(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret, bool *ret_known);

/* Like bus_call(), but for a manager method with one string argument, and for the properties of an object.
 */
int bus_call_word(Ctl *c, const char *method, const char *word, sd_bus_message **ret);
int bus_get_properties(Ctl *c, const char *path, const char *interface, sd_bus_message **ret);

/* Like bus_call_word(). If the client is older than `method`, calls `older` and sets *ret_older. */
int bus_call_newest(Ctl *c, const char *method, const char *older, const char *word, sd_bus_message **ret,
                bool *ret_older);

/* Subscribes to signals, and subscribes again whenever another client takes the name. The first reply goes
 * to `on_answer`. It may be NULL if a later call reports errors. Returns 0 or negative errno. */
int bus_subscribe(Ctl *c, sd_bus_message_handler_t on_answer);

/* Prints what c->about was asked, the meaning of the error reply, and a remedy. Returns the exit code. */
int bus_explain(const Ctl *c, const sd_bus_error *error);
int bus_bad_answer(void); /* the same for a malformed reply */

/* True if the client has left the bus. It may come back. */
bool bus_is_gone(const sd_bus_error *error);
