/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Children that share the memory of this process until they execute a program. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/control-group.h"
#include "runtime/spawn.h"

#define N 50u

/* What the child calls needs more of the stack than its parent did. */
static void run_shell(void *userdata)
{
        static char *const environment[] = {NULL};
        char *arguments[] = {(char *) "sh", (char *) "-c", userdata, NULL};
        volatile char much[8192];

        for (size_t i = 0; i < sizeof much; i++)
                much[i] = (char) i;
        (void) execve("/bin/sh", arguments, environment);
        _exit(127);
}

static void give_up(void *userdata)
{
        errno = EPERM;
        _exit(3);
}

static void spawn_and_wait(int group_fd, const char *script)
{
        volatile char mine[256];

        memset((char *) mine, 'x', sizeof mine);
        for (unsigned i = 0; i < N; i++) {
                int status = -1;
                const pid_t pid = spawn_sharing(group_fd, run_shell, (char *) (uintptr_t) script);

                assert_true(pid > 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
        }
        for (size_t i = 0; i < sizeof mine; i++)
                assert_int_equal(mine[i], 'x');
}

static void test_it_executes(void **state)
{
        spawn_and_wait(-1, "exit 0");
}

static void test_it_cannot_execute(void **state)
{
        int status = -1;
        const pid_t pid = spawn_sharing(-1, give_up, NULL);

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

/* Where this user may make control groups. */
static void test_it_is_in_its_group(void **state)
{
        static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
        char name[CONTROL_GROUP_NAME_MAX], script[128];
        int fd = -ENOENT, own_fd = -1;

        (void) snprintf(name, sizeof name, "ackgroup-test-%d", (int) getpid());
        for (size_t i = 0; i < ELEMENTSOF(mounts) && fd < 0; i++) {
                if (own_fd >= 0)
                        (void) close(own_fd);
                own_fd = open(mounts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                fd = own_fd >= 0 ? control_group_make(own_fd, name) : -errno;
        }
        if (fd < 0) {
                print_message("no control group can be made here\n");
                skip();
        }
        assert_true(control_group_try(own_fd, control_group_can_clone));
        assert_true(control_group_try(own_fd, spawn_can_share));
        (void) snprintf(script, sizeof script,
                        "while read -r line; do case $line in *%s) exit 0;; esac; done"
                        " </proc/self/cgroup; exit 1",
                        name);
        spawn_and_wait(fd, script);
        (void) close(fd);
        control_group_remove(own_fd, name);
        (void) close(own_fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_it_executes),
                        cmocka_unit_test(test_it_cannot_execute),
                        cmocka_unit_test(test_it_is_in_its_group),
        };

        return spawn_can_share(-1) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
