/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answers that say why not, and readers of arguments. The functions that answer return what a method
 * returns: positive, or negative errno when the answer could not be made. */

#include <systemd/sd-bus.h>

#include "base/error.h"

/* org.ackgroup.Error.NAME */
int bus_fail(sd_bus_message *call, const char *name, const char *format, ...) _printf_(3, 4);
/* InvalidArgument with the sentence in `error`. Without a sentence `r` is returned and sd-bus answers. */
int bus_fail_argument(sd_bus_message *call, int r, const Error *error);
/* -EUSERS: too many calls wait. Any other `r` is returned. */
int bus_fail_too_many(sd_bus_message *call, int r);
/* The message whose id is the first argument of `call` was not found: `r` of message_look_up(). */
int bus_fail_look_up(sd_bus_message *call, int r);

/* Sends `reply` when `r` is not negative, else answers with the errno `r`. Frees `reply`, which may be NULL.
 */
void bus_send_reply(sd_bus_message *call, sd_bus_message *reply, int r);

/* Calls `take` for each string of an array in a variant. */
int bus_read_words(sd_bus_message *call, int (*take)(const char *word, void *userdata, Error *error),
                void *userdata, Error *error);
/* Calls `take` for each entry of an a{sv}; it reads the variant. It returns -ENOENT for a key that
 * there is not. The caller's mistakes come back as -EINVAL with a sentence. */
int bus_read_filter(sd_bus_message *call,
                int (*take)(sd_bus_message *call, const char *key, void *userdata, Error *error),
                void *userdata, Error *error);
