/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rest of what a daemon asks of the real machine. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "world/memory.h"
#include "world/process.h"

int __wrap_gethostname(char *ret, size_t size);
int __wrap_sd_id128_get_boot(sd_id128_t *ret);
int __wrap_sd_id128_get_machine(sd_id128_t *ret);
int __wrap_sd_id128_get_machine_app_specific(sd_id128_t application, sd_id128_t *ret);
int __wrap_mkdir_parents(const char *path, mode_t mode);
_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void);
_Noreturn void __real_exit(int status);
_Noreturn void __wrap_exit(int status);

int __wrap_gethostname(char *ret, size_t size)
{
        const Machine *m = process_machine(process_current());

        (void) snprintf(ret, size, "%s", m ? machine_name(m) : "host");
        return 0;
}

int __wrap_sd_id128_get_boot(sd_id128_t *ret)
{
        const Machine *m = process_machine(process_current());

        if (!m)
                return -ENXIO;
        *ret = machine_boot_id(m);
        return 0;
}

int __wrap_sd_id128_get_machine(sd_id128_t *ret)
{
        const Machine *m = process_machine(process_current());

        if (!m)
                return -ENXIO;
        *ret = (sd_id128_t){};
        (void) snprintf((char *) ret->bytes, sizeof ret->bytes, "%s", machine_name(m));
        return 0;
}

int __wrap_sd_id128_get_machine_app_specific(sd_id128_t application, sd_id128_t *ret)
{
        return __wrap_sd_id128_get_machine(ret);
}

/* Directories are there when they are needed. */
int __wrap_mkdir_parents(const char *path, mode_t mode)
{
        return 0;
}

/* A daemon that cannot go on without memory ends itself. Without such a reason it is a crash. */
void __wrap_abort(void)
{
        Process *p = memory_owner();

        if (p && process_lacks_memory(p))
                process_kill(p);
        __real_abort();
}

/* uthash ends a program that has no memory for a table. */
void __wrap_exit(int status)
{
        if (memory_owner())
                process_exit(status);
        __real_exit(status);
}
