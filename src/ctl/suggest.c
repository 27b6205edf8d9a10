/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/suggest.h"

#include <limits.h>
#include <string.h>

#include "base/str-util.h"

/* The restricted edit distance of Damerau, row by row. */
unsigned suggest_distance(const char *a, const char *b)
{
        unsigned rows[3][SUGGEST_LENGTH_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];
        size_t n = strlen(a), m = strlen(b);

        if (n > SUGGEST_LENGTH_MAX || m > SUGGEST_LENGTH_MAX)
                return UINT_MAX;
        for (size_t j = 0; j <= m; j++)
                last[j] = (unsigned) j;
        for (size_t i = 1; i <= n; i++) {
                row[0] = (unsigned) i;
                for (size_t j = 1; j <= m; j++) {
                        row[j] = MIN(MIN(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                unsigned *oldest = before;
                before = last;
                last = row;
                row = oldest;
        }
        return last[m];
}

bool suggest_is_near(const char *word, const char *right)
{
        unsigned max = strlen(right) > 4 ? 2 : 1;

        return (strlen(word) >= 3 && str_after_prefix(right, word)) || suggest_distance(word, right) <= max;
}
