/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a start found damaged, and could go on without. Damaged files are kept beside the repaired ones, as
 * PATH.damaged-1 to PATH.damaged-4: for whoever wants to look at them, and so that later starts know of the
 * loss until somebody removes them. */

#include "base/error.h"

typedef struct Damage {
        bool found;            /* this start has lost records */
        char text[ERROR_MAX];  /* what, and of which file */
        char kept[ERROR_MAX];  /* a file that is kept, also from an earlier start; "": none */
        char minor[ERROR_MAX]; /* what probably is the trace of a loss of power, and cost nothing; "": none
                                */
} Damage;

void damage_add(Damage *d, const char *format, ...) _printf_(2, 3);

/* The end of this log is not complete. Most probably it was being written when the power was lost. */
void damage_minor(Damage *d, const char *path);

/* Copies the file. When four copies are there, the fourth is replaced. 0 or negative errno; what could be
 * copied is kept. */
int damage_keep(Damage *d, const char *path);
int damage_copy(const char *from, const char *to); /* synced; zeroes for what cannot be read */

/* Puts `fresh`, which is complete, in the place of the database `path`, so that a start after an end at any
 * point goes on with the one or the other. 0 or negative errno. */
int damage_replace(const char *path, const char *fresh);
int damage_finish_salvage(const char *path); /* goes on with that, where it was begun; with the lock */

void damage_look(Damage *d, const char *path); /* what earlier starts have kept of the file */
