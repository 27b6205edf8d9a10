/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

void heap_clear(Heap *h)
{
        for (size_t i = 0; i < h->n_items; i++)
                h->items[i]->position = HEAP_NOT_IN;
        free(h->items);
        *h = (Heap){};
}

void heap_item_init(HeapItem *item)
{
        *item = (HeapItem){.position = HEAP_NOT_IN};
}

static void heap_place(Heap *h, HeapItem *item, size_t position)
{
        h->items[position] = item;
        item->position = position;
}

static void heap_up(Heap *h, HeapItem *item)
{
        size_t i = item->position;

        while (i > 0 && h->items[(i - 1) / 2]->due > item->due) {
                heap_place(h, h->items[(i - 1) / 2], i);
                i = (i - 1) / 2;
        }
        heap_place(h, item, i);
}

static void heap_down(Heap *h, HeapItem *item)
{
        size_t i = item->position;

        for (;;) {
                size_t child = 2 * i + 1;

                if (child + 1 < h->n_items && h->items[child + 1]->due < h->items[child]->due)
                        child++;
                if (child >= h->n_items || h->items[child]->due >= item->due)
                        break;
                heap_place(h, h->items[child], i);
                i = child;
        }
        heap_place(h, item, i);
}

int heap_reserve(Heap *h, size_t n)
{
        size_t want = MAX(h->allocated, 16u);

        while (want < n)
                want *= 2;
        if (want == h->allocated)
                return 0;
        HeapItem **grown = reallocarray(h->items, want, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        h->items = grown;
        h->allocated = want;
        return 0;
}

int heap_put(Heap *h, HeapItem *item, uint64_t due)
{
        if (item->position == HEAP_NOT_IN) {
                int r = heap_reserve(h, h->n_items + 1);
                if (r < 0)
                        return r;
                heap_place(h, item, h->n_items++);
        }
        item->due = due;
        heap_up(h, item);
        heap_down(h, item);
        return 0;
}

void heap_remove(Heap *h, HeapItem *item)
{
        size_t hole = item->position;

        if (hole == HEAP_NOT_IN)
                return;
        assert(hole < h->n_items && h->items[hole] == item);

        HeapItem *last = h->items[--h->n_items];
        item->position = HEAP_NOT_IN;
        if (last == item)
                return;
        heap_place(h, last, hole);
        heap_up(h, last);
        heap_down(h, last);
}

HeapItem *heap_first(const Heap *h)
{
        return h->n_items > 0 ? h->items[0] : NULL;
}
