/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/memory.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker puts these in the place of the functions that they are named after (--wrap). */
void *__real_malloc(size_t size);
void __real_free(void *p);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void __wrap_free(void *p);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *format, va_list ap) _printf_(2, 0);
int __wrap_asprintf(char **ret, const char *format, ...) _printf_(2, 3);
int __wrap___vasprintf_chk(char **ret, int flags, const char *format, va_list ap) _printf_(3, 0);
int __wrap___asprintf_chk(char **ret, int flags, const char *format, ...) _printf_(3, 4);

static MemoryHead *head_of(void *p)
{
        return (MemoryHead *) p - 1;
}

static void enter(MemoryHead *head, Process *p, size_t size)
{
        *head = (MemoryHead){.prev = head, .next = head, .process = p, .size = size};
        if (p)
                memory_add(p, head);
}

void *__wrap_malloc(size_t size)
{
        Process *p = memory_owner();
        MemoryHead *head;

        if (p && memory_is_refused(p)) {
                errno = ENOMEM;
                return NULL;
        }
        head = size <= SIZE_MAX - sizeof *head ? __real_malloc(sizeof *head + size) : NULL;
        if (!head)
                return NULL;
        enter(head, p, size);
        return head + 1;
}

void __wrap_free(void *p)
{
        if (!p)
                return;
        memory_remove(head_of(p));
        __real_free(head_of(p));
}

void *__wrap_calloc(size_t n, size_t size)
{
        size_t bytes;
        void *p;

        if (__builtin_mul_overflow(n, size, &bytes))
                return NULL;
        p = __wrap_malloc(bytes);
        return p ? memset(p, 0, bytes) : NULL;
}

/* The memory stays with its process, whoever asks. */
void *__wrap_realloc(void *p, size_t size)
{
        MemoryHead *head, *fresh;
        Process *owner;

        if (!p)
                return __wrap_malloc(size);
        head = head_of(p);
        owner = head->process;
        if (owner && memory_is_refused(owner)) {
                errno = ENOMEM;
                return NULL;
        }
        memory_remove(head);
        fresh = __real_realloc(head, sizeof *head + size);
        if (fresh)
                enter(fresh, owner, size);
        else
                enter(head, owner, head->size);
        return fresh ? fresh + 1 : NULL;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        size_t bytes;

        if (__builtin_mul_overflow(n, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return __wrap_realloc(p, bytes);
}

/* Only base/hash-index asks for it, to get large pages. It does without. */
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        return __wrap_malloc(size);
}

char *__wrap_strndup(const char *s, size_t n)
{
        size_t size = strnlen(s, n);
        char *copy = __wrap_malloc(size + 1);

        if (!copy)
                return NULL;
        memcpy(copy, s, size);
        copy[size] = '\0';
        return copy;
}

char *__wrap_strdup(const char *s)
{
        return __wrap_strndup(s, SIZE_MAX);
}

int __wrap_vasprintf(char **ret, const char *format, va_list ap)
{
        va_list again;
        int n;

        va_copy(again, ap);
        n = vsnprintf(NULL, 0, format, ap);
        *ret = n >= 0 ? __wrap_malloc((size_t) n + 1) : NULL;
        if (*ret)
                (void) vsnprintf(*ret, (size_t) n + 1, format, again);
        va_end(again);
        return *ret ? n : -1;
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
        va_list ap;
        int n;

        va_start(ap, format);
        n = __wrap_vasprintf(ret, format, ap);
        va_end(ap);
        return n;
}

/* Builds with _FORTIFY_SOURCE call these instead. */

int __wrap___vasprintf_chk(char **ret, int flags, const char *format, va_list ap)
{
        return __wrap_vasprintf(ret, format, ap);
}

int __wrap___asprintf_chk(char **ret, int flags, const char *format, ...)
{
        va_list ap;
        int n;

        va_start(ap, format);
        n = __wrap_vasprintf(ret, format, ap);
        va_end(ap);
        return n;
}

/* SQLite. */

static void *sql_malloc(int n)
{
        return __wrap_malloc((size_t) n);
}

static void *sql_realloc(void *p, int n)
{
        return __wrap_realloc(p, (size_t) n);
}

static int sql_size(void *p)
{
        return p ? (int) head_of(p)->size : 0;
}

static int sql_round(int n)
{
        return (n + 7) & ~7;
}

static int sql_begin(void *userdata)
{
        return SQLITE_OK;
}

static void sql_end(void *userdata)
{
}

void memory_begin(void)
{
        static bool begun;
        const sqlite3_mem_methods methods = {
                        .xMalloc = sql_malloc,
                        .xFree = __wrap_free,
                        .xRealloc = sql_realloc,
                        .xSize = sql_size,
                        .xRoundup = sql_round,
                        .xInit = sql_begin,
                        .xShutdown = sql_end,
        };
        cJSON_Hooks hooks = {.malloc_fn = __wrap_malloc, .free_fn = __wrap_free};

        if (begun)
                return;
        begun = true;
        cJSON_InitHooks(&hooks);
        (void) sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
        (void) sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        (void) sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
        (void) sqlite3_initialize();
}
