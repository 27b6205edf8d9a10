/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Error replies, and readers of arguments. The functions that reply return what an sd-bus method returns: a
 * positive value, or a negative errno if they could not send the reply. */

#include <systemd/sd-bus.h>

#include "base/error.h"

/* Replies with the error org.ackgroup.Error.NAME. */
int bus_fail(sd_bus_message *call, const char *name, const char *format, ...) _printf_(3, 4);
/* Replies with InvalidArgument and the sentence in `error`. Without a sentence it returns `r`, and sd-bus
 * replies. */
int bus_fail_argument(sd_bus_message *call, int r, const Error *error);
/* If `r` is -EUSERS, replies that too many calls wait. Otherwise returns `r`. */
int bus_fail_too_many(sd_bus_message *call, int r);
/* Replies that the message was not found. Its id is the first argument of `call`; `r` comes from
 * message_look_up(). */
int bus_fail_look_up(sd_bus_message *call, int r);

/* Sends `reply` if `r` is not negative. Otherwise replies with the errno `r`. Frees `reply`, which may be
 * NULL. */
void bus_send_reply(sd_bus_message *call, sd_bus_message *reply, int r);

/* Calls `take` for each string of an array in a variant. */
int bus_read_words(sd_bus_message *call, int (*take)(const char *word, void *userdata, Error *error),
                void *userdata, Error *error);
/* A number in a variant, of any integer type: languages without unsigned types send others. A negative one
 * is UINT64_MAX, which no number of this interface may be. */
int bus_read_number(sd_bus_message *call, uint64_t *ret);
/* The keys "limit" (1 to `max`) and "after" (a number up to `max`; "" leaves *ret as it is) of a filter.
 * Return 0; -EINVAL, with a sentence in `error`; or another negative errno. */
int bus_read_limit(sd_bus_message *call, uint32_t max, uint32_t *ret, Error *error);
int bus_read_after(sd_bus_message *call, uint64_t max, uint64_t *ret, Error *error);

/* Calls `take` for each entry of an a{sv}. `take` reads the variant, and returns -ENOENT for an unknown key.
 * Returns -EINVAL, with a sentence in `error`, for a mistake of the caller. */
int bus_read_filter(sd_bus_message *call,
                int (*take)(sd_bus_message *call, const char *key, void *userdata, Error *error),
                void *userdata, Error *error);
