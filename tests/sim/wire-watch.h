/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns what net_tap() shows into observations of frames. Frames may be cut anywhere: a frame is observed
 * when its last byte is written, and again when its last byte is read. */

/* Taps the network. */
void wire_watch_begin(void);
void wire_watch_end(void);
