/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The random numbers of plans. Each topic has a generator of its own (splitmix64), so a topic that draws
 * more than before does not change the others. */

#include "base/macro.h"

typedef struct Draw {
        uint64_t state;
} Draw;

/* `number` tells apart things of one topic, for example messages. */
Draw draw_begin(uint64_t seed, const char *topic, uint64_t number);

uint64_t draw_u64(Draw *d);
uint64_t draw_below(Draw *d, uint64_t n);                   /* [0, n), n > 0 */
uint64_t draw_between(Draw *d, uint64_t min, uint64_t max); /* both included */
/* Both included, 0 < min <= max. Each power of two is as likely as another, so small values are frequent. */
uint64_t draw_log(Draw *d, uint64_t min, uint64_t max);
bool draw_chance(Draw *d, unsigned percent);
/* An index, as likely as its weight says; `n` if all weights are 0. */
size_t draw_weighted(Draw *d, const unsigned *weights, size_t n);
