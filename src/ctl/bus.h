/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to a client, and calls to it. */

#include "ctl/ctl.h"

#define BUS_NAME          "org.ackgroup.Client1"
#define BUS_PATH          "/org/ackgroup/Client1"
#define MANAGER_INTERFACE BUS_NAME ".Manager"
#define MESSAGE_INTERFACE BUS_NAME ".Message"

/* Connects. Without --user, --system, -H and -M: to the system bus, or to the session bus when only that one
 * has the service. 0, or an exit code after telling what to do. */
int bus_connect(Ctl *c);
void bus_disconnect(Ctl *c);

/* Makes a call of the manager; the caller appends the arguments. */
int bus_new_call(Ctl *c, sd_bus_message **ret, const char *method);

/* Sends the call and waits for the reply. `made` is what making the call returned: a negative errno is
 * reported here, so that callers need not. 0, or an exit code after telling why; then c->hopeless says
 * whether the next call would fail in the same way. */
int bus_call(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret);

/* As bus_call(): a method of the manager with one string, and the properties of an object. */
int bus_call_word(Ctl *c, const char *method, const char *word, sd_bus_message **ret);
int bus_get_properties(Ctl *c, const char *path, const char *interface, sd_bus_message **ret);

/* Asks for signals, and asks again whenever another client takes the name. The first reply goes to
 * `on_answer`; NULL where a later call reports errors. 0, or negative errno. */
int bus_subscribe(Ctl *c, sd_bus_message_handler_t on_answer);

/* Tells what an error reply means and what to do; returns the exit code. */
int bus_explain(const sd_bus_error *error);
int bus_bad_answer(void); /* the same for a reply that is not of the expected form */

/* The client has gone, and may come back. */
bool bus_is_gone(const sd_bus_error *error);
