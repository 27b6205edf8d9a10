/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/control-group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd-util.h"
#include "base/str-util.h"

#define PROBE_NAME "probe"
#define DEPTH_MAX  32u /* of groups that a handler has made below its own */

/* The second one is beside the groups of version 1. */
static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

static const char *find_mount(void)
{
        struct statfs st;

        for (size_t i = 0; i < ELEMENTSOF(mounts); i++)
                if (statfs(mounts[i], &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
                        return mounts[i];
        return NULL;
}

/* The line of version 2 in /proc/self/cgroup begins with "0::". */
static char *find_own(const char *mount)
{
        _cleanup_free_ char *text = NULL;
        size_t size;

        if (read_file("/proc/self/cgroup", 65536, &text, &size) < 0)
                return NULL;
        for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *path = str_after_prefix(line, "0::");

                if (path)
                        return str_format("%s%.*s", mount, (int) strcspn(path, "\n"), path);
        }
        return NULL;
}

static bool is_delegated(int fd)
{
        char value[2];

        return (fgetxattr(fd, "user.delegate", value, sizeof value) == 1 ||
                               fgetxattr(fd, "trusted.delegate", value, sizeof value) == 1) &&
               value[0] == '1';
}

int control_group_open_own(void)
{
        const char *mount = find_mount();
        _cleanup_free_ char *path = mount ? find_own(mount) : NULL;
        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        if (fd < 0 || !is_delegated(fd) || faccessat(fd, "cgroup.procs", W_OK, 0) < 0 ||
                        faccessat(fd, ".", W_OK, 0) < 0)
                return -ENOENT;
        return TAKE_FD(fd);
}

const char *control_group_name(unsigned number, char ret[static CONTROL_GROUP_NAME_MAX])
{
        (void) snprintf(ret, CONTROL_GROUP_NAME_MAX, "handler-%u", number);
        return ret;
}

int control_group_make(int own_fd, const char *name)
{
        if (mkdirat(own_fd, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        int fd = openat(own_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (faccessat(fd, "cgroup.kill", W_OK, 0) < 0) { /* since Linux 5.14 */
                (void) close(fd);
                (void) unlinkat(own_fd, name, AT_REMOVEDIR);
                return -ENOENT;
        }
        return fd;
}

bool control_group_is_divided(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && st.st_nlink > 2;
}

static void remove_tree(int parent_fd, const char *name, unsigned depth)
{
        int fd = depth > 0 ? openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
        DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;

        if (fd >= 0 && !directory)
                (void) close(fd);
        for (const struct dirent *e; directory && (e = readdir(directory));)
                if (e->d_type == DT_DIR && e->d_name[0] != '.')
                        remove_tree(fd, e->d_name, depth - 1);
        if (directory)
                (void) closedir(directory);
        (void) unlinkat(parent_fd, name, AT_REMOVEDIR);
}

void control_group_remove(int own_fd, const char *name)
{
        if (unlinkat(own_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                remove_tree(own_fd, name, DEPTH_MAX);
}

static int write_word(int fd, const char *file, const char *word)
{
        _cleanup_close_ int file_fd = openat(fd, file, O_WRONLY | O_CLOEXEC);

        return file_fd < 0 ? -errno : write_all(file_fd, word, strlen(word));
}

static pid_t clone_into(int fd)
{
        struct clone_args args = {
                        .flags = CLONE_INTO_CGROUP,
                        .exit_signal = SIGCHLD,
                        .cgroup = (uint64_t) fd,
        };

        return (pid_t) syscall(SYS_clone3, &args, sizeof args);
}

bool control_group_try(int own_fd, bool (*works)(int fd))
{
        const int fd = control_group_make(own_fd, PROBE_NAME);

        if (fd < 0)
                return false;
        const bool r = works(fd);
        (void) close(fd);
        control_group_remove(own_fd, PROBE_NAME);
        return r;
}

bool control_group_can_clone(int fd)
{
        int status = -1;
        const pid_t pid = clone_into(fd);

        if (pid == 0)
                _exit(EXIT_SUCCESS);
        return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

pid_t control_group_fork(int fd, bool can_clone)
{
        if (can_clone)
                return clone_into(fd);
        pid_t pid = fork();
        if (pid == 0)
                (void) write_word(fd, "cgroup.procs", "0");
        return pid;
}

void control_group_kill(int fd)
{
        (void) write_word(fd, "cgroup.kill", "1");
}

int control_group_watch(int fd)
{
        int watch_fd = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

        return watch_fd < 0 ? -errno : watch_fd;
}

static bool has_event(int watch_fd, const char *line)
{
        char text[256];
        ssize_t n = pread(watch_fd, text, sizeof text - 1, 0);

        text[MAX(n, 0)] = '\0';
        return strstr(text, line);
}

bool control_group_is_populated(int watch_fd)
{
        return has_event(watch_fd, "populated 1");
}

bool control_group_is_frozen(int watch_fd)
{
        return has_event(watch_fd, "frozen 1");
}
