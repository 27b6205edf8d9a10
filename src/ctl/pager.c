/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str-util.h"
#include "ctl/columns.h"
#include "ctl/print.h"

#define EXIT_NO_PAGER 127 /* as the shell has it */

/* What the user wants, as a command of the shell; NULL: the usual one; "": none. */
static const char *find_command(void)
{
        static const char *const names[] = {"SYSTEMD_PAGER", "PAGER"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *command = getenv(names[i]);
                if (command)
                        return str_equal(command, "cat") ? "" : command;
        }
        return NULL;
}

/* The child. Does not return. */
static void run_pager(const char *command, int input)
{
        static const char *const usual[] = {"less", "more", "cat"};

        (void) prctl(PR_SET_PDEATHSIG, SIGINT);
        (void) signal(SIGINT, SIG_DFL);
        (void) signal(SIGPIPE, SIG_DFL);
        (void) dup2(input, STDIN_FILENO);
        /* Leave at the end of a single page, show colours, cut long lines, keep the screen. */
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        (void) setenv("LESSSECURE", "1", 0);
        if (command)
                (void) execl("/bin/sh", "sh", "-c", command, NULL);
        else
                for (size_t i = 0; i < ELEMENTSOF(usual); i++)
                        (void) execlp(usual[i], usual[i], NULL);
        _exit(EXIT_NO_PAGER);
}

void pager_open(Ctl *c)
{
        const char *command = find_command();
        int ends[2];

        if (c->no_pager || !c->out_is_terminal || c->pager > 0 || str_equal(command, "") ||
                        str_equal(getenv("TERM"), "dumb") || pipe2(ends, O_CLOEXEC) < 0)
                return;
        c->columns = columns_of_terminal(STDOUT_FILENO);
        (void) fflush(stdout);
        c->pager = fork();
        if (c->pager == 0)
                run_pager(command, ends[0]);
        if (c->pager > 0) {
                (void) dup2(ends[1], STDOUT_FILENO);
                (void) signal(SIGPIPE, SIG_IGN);
                (void) signal(SIGINT, SIG_IGN); /* it is for the pager, which sets the terminal right */
        }
        (void) close(ends[0]);
        (void) close(ends[1]);
}

int pager_close(Ctl *c, int code)
{
        int status = 0;

        if (c->pager <= 0)
                return code;
        (void) fflush(stdout);
        /* The end of its input. */
        (void) dup2(STDERR_FILENO, STDOUT_FILENO);
        while (waitpid(c->pager, &status, 0) < 0 && errno == EINTR)
                ;
        c->pager = 0;
        clearerr(stdout);
        return WIFEXITED(status) && WEXITSTATUS(status) >= EXIT_NO_PAGER - 1 && code == EXIT_OK
                               ? ctl_fail(EXIT_FAILED, "cannot run the pager; --no-pager does without")
                               : code;
}
