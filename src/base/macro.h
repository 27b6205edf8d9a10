/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few macros that every file may use. What can be a function is a function, in another header. */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _must_use_     __attribute__((warn_unused_result))
#define _unused_       __attribute__((unused))

#define ELEMENTSOF(a)   (sizeof(a) / sizeof((a)[0]))
#define STRLEN(literal) (sizeof("" literal "") - 1)
#define MIN(a, b)       ((a) < (b) ? (a) : (b))
#define MAX(a, b)       ((a) > (b) ? (a) : (b))

/* Hands a pointer (or descriptor) on to a new owner and forgets it here. */
#define TAKE_PTR(p)                                                                                         \
        ({                                                                                                  \
                typeof(p) *_slot = &(p);                                                                    \
                typeof(p) _value = *_slot;                                                                  \
                *_slot = NULL;                                                                              \
                _value;                                                                                     \
        })
#define TAKE_FD(fd)                                                                                         \
        ({                                                                                                  \
                int *_slot = &(fd);                                                                         \
                int _value = *_slot;                                                                        \
                *_slot = -1;                                                                                \
                _value;                                                                                     \
        })

/* The object that embeds `member` at address `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *) (void *) ((char *) (ptr) -offsetof(type, member)))

/* For a destructor `Type *func(Type *)` defines `funcp`, to be used as _cleanup_(funcp). */
#define DEFINE_CLEANUP(type, func)                                                                          \
        static inline _unused_ void func##p(type *p)                                                        \
        {                                                                                                   \
                if (*p)                                                                                     \
                        func(*p);                                                                           \
        }
