/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a daemon finds its configuration and keeps its files. The results are malloc'ed; -ENXIO: neither
 * systemd nor the environment names a directory. */

/* $STATE_DIRECTORY, or DIR/ackgroup/`role` where DIR is /var/lib for root, else $XDG_STATE_HOME
 * (~/.local/state). The directory exists afterwards (0700). */
int directory_of_state(const char *role, char **ret);
/* $RUNTIME_DIRECTORY, or /run/ackgroup for root, else $XDG_RUNTIME_DIR/ackgroup. */
int directory_of_sockets(char **ret);
/* Where ackgroup.conf is: $CONFIGURATION_DIRECTORY, or /etc/ackgroup for root, else
 * $XDG_CONFIG_HOME/ackgroup
 * (~/.config/ackgroup). */
int directory_of_configuration(char **ret);
