/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks of values in the configuration, for ConfItem: so an error names file and line. Return 0, or -EINVAL
 * with the reason. */

#include "base/error.h"

int check_address(const char *value, Error *error); /* unix:PATH or tcp:HOST:PORT */
int check_url(const char *value, Error *error);     /* an address, or http://HOST:PORT */
int check_name(const char *value, Error *error);    /* of a receiver or a group */
int check_label(const char *value, Error *error);   /* KEY=VALUE */
int check_log_level(const char *value, Error *error);
