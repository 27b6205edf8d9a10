/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Message objects: their properties, their enumeration, and Cancel. */

#include "client/bus/bus.h"

/* Userdata is the Message. */
int object_get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error);
int object_get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error);
int object_get_attempts(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error);
int object_get_priority(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error);
int object_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error);
int object_get_reply(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* Userdata is the ClientBus. */
int object_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *error);
/* Lists the newest messages only. A caller gets the path of any other message from GetMessage. */
int object_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error);
int object_method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error);
