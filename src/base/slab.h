/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory for millions of small things. There is no header for each; things that live short leave no holes
 * between those that live long; allocating and freeing never search. The kernel is asked for large pages,
 * since with a million things the page tables cost more than the reading. Freed memory is used again for
 * things of about the same size; only slab_clear() returns it to the system. */

#include <stddef.h>

#include "base/macro.h"

#define SLAB_STEP    16u
#define SLAB_CLASSES 64u /* larger than SLAB_STEP * SLAB_CLASSES: malloc() */

typedef struct SlabFree SlabFree;

typedef struct Slab {
        SlabFree *free[SLAB_CLASSES];
        char *chunks; /* the newest, which begins with a pointer to the one before it */
        size_t used, size;
        size_t blocks; /* bytes */
} Slab;

void *slab_new(Slab *s, size_t size);  /* aligned to SLAB_STEP; NULL: out of memory */
void *slab_zero(Slab *s, size_t size); /* the same, full of zeroes */
void slab_free(Slab *s, void *p, size_t size);

/* Blocks of any size. While less than SLAB_BLOCKS_MAX bytes of them are in use they come from the slab, then
 * from malloc(), so that memory is returned after a backlog. */
#define SLAB_BLOCKS_MAX ((size_t) 256 << 10)
void *slab_block_new(Slab *s, size_t size); /* NULL: out of memory */
void slab_block_free(Slab *s, void *p);

void slab_clear(Slab *s); /* the caller must have freed everything that is larger than the classes */
