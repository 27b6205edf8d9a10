/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* What each receiver of a message to several replied: a line "NAME: REPLY" for each that did. */
void show_replies(Ctl *c, const char *id);
