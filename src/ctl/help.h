/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text of --help, from the tables of verbs and options. */

#include <stdio.h>

#include "ctl/verb.h"

void help_print(const Verb *verbs); /* help of ackctl; the last entry of `verbs` has no name */
void help_print_verb(const Verb *v);
void help_print_usage(FILE *to); /* a few lines, for an incomplete command line */
