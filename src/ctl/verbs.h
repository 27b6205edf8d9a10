/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/verb.h"

extern const Verb verbs_table[]; /* the last entry has no name */
