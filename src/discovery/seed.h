/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "discovery/discovery.h"

void seed_register(HttpExchange *x, void *userdata);
void seed_heartbeat(HttpExchange *x, void *userdata);
void seed_list(HttpExchange *x, void *userdata);
