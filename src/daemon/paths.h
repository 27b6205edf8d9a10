/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where daemons keep their state and meet each other when the configuration does not say it. */

#include "base/error.h"

/* The socket of discovery below the runtime directory, where receivers and clients look for it. */
#define DISCOVERY_SOCKET "discovery.sock"

/* unix:RUNTIME_DIRECTORY/`name`, malloc'ed. -ENXIO without a runtime directory. */
int paths_socket(const char *name, char **ret);

/* `name` in the state directory, malloc'ed; the directory is made. `given` is StateDirectory=, or NULL for
 * the default of `role`. Negative errno with the reason. */
int paths_state_file(const char *given, const char *role, const char *name, char **ret, Error *error);
