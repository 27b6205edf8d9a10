/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/ward-program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

enum {
        EXIT_CANNOT_PREPARE = 126,
        EXIT_CANNOT_EXECUTE = 127,
};

/* Programs that use select() cannot handle a higher descriptor. */
static void limit_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= FD_SETSIZE)
                return;
        limit.rlim_cur = FD_SETSIZE;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

/* They come from the kernel with numbers above those that they get here. */
static int place_descriptors(const WardSpec *spec)
{
        for (int number = 0; number < (int) WARD_FDS; number++)
                if (spec->fds[number] >= 0 && dup2(spec->fds[number], number) < 0)
                        return -1;
        return close_range(spec->fds[WARD_FDS - 1] >= 0 ? WARD_FDS : WARD_FDS - 1, ~0u, 0);
}

static void reset_signals(void)
{
        sigset_t none;

        /* Also those that were ignored when the receiver was started, as nohup and a shell's background do.
         */
        for (int number = 1; number < _NSIG; number++)
                (void) signal(number, SIG_DFL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

void ward_program(const WardSpec *spec, volatile int *error)
{
        /* A group of its own, so that signals of a terminal do not reach it, and `kill 0` only itself. */
        if (setpgid(0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || place_descriptors(spec) < 0) {
                *error = errno;
                _exit(EXIT_CANNOT_PREPARE);
        }
        limit_descriptors();
        reset_signals();
        (void) execve(spec->path, spec->arguments, spec->environment);
        *error = errno;
        _exit(EXIT_CANNOT_EXECUTE);
}
