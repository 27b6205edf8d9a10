/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_FIRST ((size_t) 128 << 10)
#define CHUNK       ((size_t) 2 << 20) /* one large page */

/* A sanitizer finds use after free only when each thing is an allocation of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_IS_MALLOC true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_IS_MALLOC true
#endif
#endif
#ifndef SLAB_IS_MALLOC
#define SLAB_IS_MALLOC false
#endif

struct SlabFree {
        SlabFree *next;
};

typedef struct Chunk {
        char *before;
        size_t size;
} Chunk;

static_assert(sizeof(Chunk) == SLAB_STEP, "what is behind it is aligned");

static void *map(size_t size)
{
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? NULL : p;
}

static char *map_aligned(void)
{
        char *p = map(2 * CHUNK);

        if (!p)
                return NULL;
        size_t before = (CHUNK - (uintptr_t) p % CHUNK) % CHUNK;
        if (before > 0)
                (void) munmap(p, before);
        (void) munmap(p + before + CHUNK, CHUNK - before);
        (void) madvise(p + before, CHUNK, MADV_HUGEPAGE);
        return p + before;
}

static bool add_chunk(Slab *s)
{
        size_t size = s->chunks ? CHUNK : CHUNK_FIRST;
        char *p = s->chunks ? map_aligned() : map(size);

        if (!p)
                return false;
        *(Chunk *) (void *) p = (Chunk){s->chunks, size};
        s->chunks = p;
        s->used = sizeof(Chunk);
        s->size = size;
        return true;
}

static size_t class_of(size_t size)
{
        return size == 0 ? 0 : (size - 1) / SLAB_STEP;
}

void *slab_new(Slab *s, size_t size)
{
        size_t class = class_of(size), room = (class + 1) * SLAB_STEP;

        if (SLAB_IS_MALLOC || class >= SLAB_CLASSES)
                return malloc(size);
        SlabFree *p = s->free[class];
        if (p) {
                s->free[class] = p->next;
                return p;
        }
        if (s->size - s->used < room && !add_chunk(s))
                return NULL;
        s->used += room;
        return s->chunks + s->used - room;
}

void *slab_zero(Slab *s, size_t size)
{
        void *p = slab_new(s, size);

        return p ? memset(p, 0, size) : NULL;
}

void slab_free(Slab *s, void *p, size_t size)
{
        size_t class = class_of(size);
        SlabFree *item = p;

        if (!p)
                return;
        if (SLAB_IS_MALLOC || class >= SLAB_CLASSES) {
                free(p);
                return;
        }
        item->next = s->free[class];
        s->free[class] = item;
}

typedef struct Block {
        size_t size; /* including this header; 0: from malloc() */
        size_t padding;
} Block;

static_assert(sizeof(Block) == SLAB_STEP, "what is behind it is aligned");

void *slab_block_new(Slab *s, size_t size)
{
        if (size > SIZE_MAX - sizeof(Block))
                return NULL;
        const size_t whole = size + sizeof(Block);
        const bool cached = class_of(whole) < SLAB_CLASSES && s->blocks + whole <= SLAB_BLOCKS_MAX;
        Block *b = cached ? slab_new(s, whole) : malloc(whole);

        if (!b)
                return NULL;
        b->size = cached ? whole : 0;
        s->blocks += b->size;
        return b + 1;
}

void slab_block_free(Slab *s, void *p)
{
        Block *b = p ? (Block *) p - 1 : NULL;

        if (!b)
                return;
        s->blocks -= b->size;
        if (b->size > 0)
                slab_free(s, b, b->size);
        else
                free(b);
}

void slab_clear(Slab *s)
{
        while (s->chunks) {
                Chunk chunk = *(Chunk *) (void *) s->chunks;

                (void) munmap(s->chunks, chunk.size);
                s->chunks = chunk.before;
        }
        *s = (Slab){};
}
