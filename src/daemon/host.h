/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This host, as clients and receivers tell it from others. */

#include "model/receiver-info.h"

HostMark host_mark(void);
