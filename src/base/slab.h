/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory for very many small things: no header for each, no holes left between those that live long by what
 * lives short, and no searching when they come and go by hundreds. Large pages back it where the kernel has
 * them, since looking at one of a million at random costs more in page tables than in reading. What is freed
 * is used again for things of about the same size and goes back to the system with slab_clear() only. */

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

/* For what is of any size: from the slab while less than SLAB_BLOCKS_MAX bytes of such blocks are in use,
 * else from malloc(), so that a backlog that ends gives its memory back. */
#define SLAB_BLOCKS_MAX ((size_t) 256 << 10)
void *slab_block_new(Slab *s, size_t size); /* NULL: out of memory */
void slab_block_free(Slab *s, void *p);

void slab_clear(Slab *s); /* of what is larger than the classes the caller must have freed each */
