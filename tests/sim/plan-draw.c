/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/plan-draw.h"

#include "world/mix.h"

Draw draw_begin(uint64_t seed, const char *topic, uint64_t number)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (const char *c = topic; *c; c++)
                hash = (hash ^ (unsigned char) *c) * UINT64_C(0x100000001b3);
        return (Draw){splitmix64(&seed) ^ mix64(hash) ^ mix64(number * 2 + 1)};
}

uint64_t draw_u64(Draw *d)
{
        return splitmix64(&d->state);
}

uint64_t draw_below(Draw *d, uint64_t n)
{
        return (uint64_t) (((unsigned __int128) draw_u64(d) * n) >> 64);
}

uint64_t draw_between(Draw *d, uint64_t min, uint64_t max)
{
        assert(min <= max);
        return min + draw_below(d, max - min + 1);
}

static unsigned bits(uint64_t x)
{
        return 63u - (unsigned) __builtin_clzll(x);
}

uint64_t draw_log(Draw *d, uint64_t min, uint64_t max)
{
        unsigned power;

        assert(min > 0 && min <= max);
        power = (unsigned) draw_between(d, bits(min), bits(max));
        return draw_between(d, MAX(min, UINT64_C(1) << power), MIN(max, (UINT64_C(2) << power) - 1));
}

bool draw_chance(Draw *d, unsigned percent)
{
        return draw_below(d, 100) < percent;
}

size_t draw_weighted(Draw *d, const unsigned *weights, size_t n)
{
        uint64_t sum = 0, at;

        for (size_t i = 0; i < n; i++)
                sum += weights[i];
        if (sum == 0)
                return n;
        at = draw_below(d, sum);
        for (size_t i = 0;; i++) {
                if (at < weights[i])
                        return i;
                at -= weights[i];
        }
}
