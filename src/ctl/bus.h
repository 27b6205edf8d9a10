/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.ackgroup.Client1, from outside. */

#include "ctl/ctl.h"

#define BUS_NAME          "org.ackgroup.Client1"
#define BUS_PATH          "/org/ackgroup/Client1"
#define MANAGER_INTERFACE BUS_NAME ".Manager"
#define MESSAGE_INTERFACE BUS_NAME ".Message"

/* Connects, and says what can be done when that fails. Without --user, --system, -H and -M: the system bus,
 * or the session bus when only there somebody provides the service. Returns an exit code. */
int bus_connect(Ctl *c);
void bus_disconnect(Ctl *c);

/* A call of the manager; appends arguments as sd_bus_message_append() does. */
int bus_new_call(Ctl *c, sd_bus_message **ret, const char *method);
/* Sends it, unless `made` is the negative errno of what went wrong with making it. 0 with the reply, or an
 * exit code after telling why; c->hopeless says whether it would be the same for the next. */
int bus_call(Ctl *c, int made, sd_bus_message *call, sd_bus_message **ret);

/* A call of the manager with one string, mostly an id; as bus_call(). */
int bus_call_word(Ctl *c, const char *method, const char *word, sd_bus_message **ret);

/* Signals come from now on, also from a service that is started anew. 0, or negative errno. What the first
 * one answers goes to `on_answer`; NULL where a call follows that tells what is wrong. */
int bus_subscribe(Ctl *c, sd_bus_message_handler_t on_answer);

/* Tells what an error reply means and what to do; returns the exit code for it. */
int bus_explain(const sd_bus_error *error);
/* The service went away, and may come back. */
bool bus_is_gone(const sd_bus_error *error);
