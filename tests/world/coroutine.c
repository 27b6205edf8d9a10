/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* _longjmp() between stacks is what is wanted here, and the check of the C library would forbid it. */
#undef _FORTIFY_SOURCE
#include "world/coroutine.h"

#include "base/macro.h"
#include <assert.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif
#ifndef ASAN
#define ASAN 0
#endif

#if ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE ((size_t) (ASAN ? 1024 : 256) << 10)
#define KEPT_MAX   64u

struct Coroutine {
        void (*fn)(void *userdata);
        void *userdata;
        void *stack;
        ucontext_t context, scheduler_context; /* the first for the first entry only, unless ASAN is on */
        jmp_buf inside, scheduler;
        bool entered;
        const void *scheduler_stack;
        size_t scheduler_size;
};

static void *kept[KEPT_MAX];
static unsigned n_kept;

static void *stack_new(void)
{
        void *p;

        if (n_kept > 0)
                return kept[--n_kept];
        p = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                        0);
        if (p == MAP_FAILED)
                abort();
        return p;
}

static void stack_free(void *p)
{
#if ASAN
        __asan_unpoison_memory_region(p, STACK_SIZE);
#endif
        if (n_kept < KEPT_MAX)
                kept[n_kept++] = p;
        else
                (void) munmap(p, STACK_SIZE);
}

/* makecontext() passes ints only. */
static void begin(unsigned high, unsigned low)
{
        Coroutine *c = (Coroutine *) (uintptr_t) ((uint64_t) high << 32 | low);

#if ASAN
        __sanitizer_finish_switch_fiber(NULL, &c->scheduler_stack, &c->scheduler_size);
#endif
        c->fn(c->userdata);
        abort();
}

Coroutine *coroutine_new(void (*fn)(void *userdata), void *userdata)
{
        Coroutine *c = calloc(1, sizeof *c);
        uint64_t address = (uintptr_t) c;

        assert(c);
        c->fn = fn;
        c->userdata = userdata;
        c->stack = stack_new();
        (void) getcontext(&c->context);
        c->context.uc_stack.ss_sp = c->stack;
        c->context.uc_stack.ss_size = STACK_SIZE;
        c->context.uc_link = NULL;
        makecontext(&c->context, (void (*)(void))(uintptr_t) begin, 2, (unsigned) (address >> 32),
                        (unsigned) address);
        return c;
}

#if ASAN
void coroutine_enter(Coroutine *c)
{
        void *fake;

        __sanitizer_start_switch_fiber(&fake, c->stack, STACK_SIZE);
        (void) swapcontext(&c->scheduler_context, &c->context);
        __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

void coroutine_leave(Coroutine *c)
{
        void *fake;

        __sanitizer_start_switch_fiber(&fake, c->scheduler_stack, c->scheduler_size);
        (void) swapcontext(&c->context, &c->scheduler_context);
        __sanitizer_finish_switch_fiber(fake, &c->scheduler_stack, &c->scheduler_size);
}
#else
/* Without the system calls of swapcontext(), except at the first entry. */
void coroutine_enter(Coroutine *c)
{
        if (_setjmp(c->scheduler) != 0)
                return;
        if (c->entered)
                _longjmp(c->inside, 1);
        c->entered = true;
        (void) setcontext(&c->context);
        abort();
}

void coroutine_leave(Coroutine *c)
{
        if (_setjmp(c->inside) == 0)
                _longjmp(c->scheduler, 1);
}
#endif

void coroutine_free(Coroutine *c)
{
        if (!c)
                return;
        stack_free(c->stack);
        free(c);
}
