/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text of --help, made from the tables of verbs and options. */

#include <stdio.h>

#include "ctl/verb.h"

void help_print(const Verb *verbs); /* of ackctl; `verbs` ends with one without a name */
void help_print_verb(const Verb *v);
void help_print_usage(FILE *to); /* a few lines, for who typed too little */
