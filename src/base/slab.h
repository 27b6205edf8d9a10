/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory for millions of small things. A thing has no header. Short-lived things leave no holes between
 * long-lived ones. Allocating and freeing never search. The slab asks the kernel for large pages, because
 * with a million things the walk through the page tables costs more than the read itself. It uses freed
 * memory again for things of about the same size; only slab_clear() returns memory to the system. */

#include <stddef.h>

#include "base/macro.h"

#define SLAB_STEP    16u
#define SLAB_CLASSES 64u /* larger than SLAB_STEP * SLAB_CLASSES: malloc() */

typedef struct SlabFree SlabFree;

typedef struct Slab {
        SlabFree *free[SLAB_CLASSES];
        char *chunks; /* the newest, which begins with a pointer to the one before it */
        size_t used, size;
        size_t blocks; /* bytes of blocks in use */
} Slab;

void *slab_new(Slab *s, size_t size);  /* aligned to SLAB_STEP; NULL: out of memory */
void *slab_zero(Slab *s, size_t size); /* the same, full of zeroes */
void slab_free(Slab *s, void *p, size_t size);

/* Blocks of any size. They come from the slab while less than SLAB_BLOCKS_MAX bytes of blocks are in use,
 * otherwise from malloc(). So the system gets the memory of a backlog back. */
#define SLAB_BLOCKS_MAX ((size_t) 256 << 10)
void *slab_block_new(Slab *s, size_t size); /* NULL: out of memory */
void slab_block_free(Slab *s, void *p);

void slab_clear(Slab *s); /* everything larger than the classes must have been freed */
