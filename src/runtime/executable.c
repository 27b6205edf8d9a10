/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/executable.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str-util.h"

#define FIRST_LINE_MAX  256
#define ZFS_SUPER_MAGIC 0x2fc12fc1u /* in no header of Linux */

/* What stands behind "#!" in the first line; "": nothing does. */
static void read_interpreter(const char *path, char ret[static FIRST_LINE_MAX])
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, ret, FIRST_LINE_MAX - 1);
        const char *word;

        ret[MAX(n, 0)] = '\0';
        word = str_after_prefix(ret, "#!");
        if (!word) {
                ret[0] = '\0';
                return;
        }
        word += strspn(word, " \t");
        const size_t size = strcspn(word, " \t\r\n");
        memmove(ret, word, size);
        ret[size] = '\0';
}

int executable_check(const char *path)
{
        char interpreter[FIRST_LINE_MAX];
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EACCES;
        if (access(path, X_OK) < 0)
                return -errno;
        read_interpreter(path, interpreter);
        return interpreter[0] && access(interpreter, X_OK) < 0 ? -errno : 0;
}

static bool is_file_local(const char *path)
{
        static const unsigned long local[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                        F2FS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC, OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,
                        EROFS_SUPER_MAGIC_V1, REISERFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC, ZFS_SUPER_MAGIC};
        struct statfs st;

        if (statfs(path, &st) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(local); i++)
                if ((unsigned long) st.f_type == local[i])
                        return true;
        return false;
}

bool executable_is_local(const char *path)
{
        char interpreter[FIRST_LINE_MAX];

        if (!is_file_local(path))
                return false;
        read_interpreter(path, interpreter);
        return !interpreter[0] || is_file_local(interpreter);
}

/* ProtectHome=yes puts a directory there that nobody may enter, ProtectHome=tmpfs an empty one. */
static bool is_in_a_hidden_home(const char *path)
{
        static const char *const homes[] = {"/home", "/root", "/run/user"};
        struct statfs st;

        for (size_t i = 0; i < ELEMENTSOF(homes); i++) {
                const char *rest = str_after_prefix(path, homes[i]);

                if (rest && rest[0] == '/')
                        return (access(homes[i], X_OK) < 0 && errno == EACCES) ||
                               (statfs(homes[i], &st) == 0 && st.f_type == TMPFS_MAGIC &&
                                               (st.f_flags & ST_RDONLY));
        }
        return false;
}

static char *find_hint(const char *path, int error)
{
        char interpreter[FIRST_LINE_MAX];
        struct stat st;

        if ((error == ENOENT || error == EACCES) && is_in_a_hidden_home(path))
                return strdup("ProtectHome= of the unit hides home directories");
        if (error == E2BIG)
                return strdup("the environment is too large");
        if (stat(path, &st) < 0 && errno == EACCES)
                return strdup("a directory of the path is closed");
        if (stat(path, &st) < 0)
                return strdup(strchr(path, '/') ? "the file is not there" : "it is in no directory of PATH");
        if (!S_ISREG(st.st_mode))
                return strdup("that is not a file");
        read_interpreter(path, interpreter);
        if (interpreter[0] && access(interpreter, X_OK) < 0)
                return str_format("its interpreter %s cannot be executed", interpreter);
        if (error == EACCES)
                return strdup(access(path, X_OK) < 0 ? "it is not executable: chmod +x"
                                                     : "noexec, or its directory");
        if (error == ENOEXEC)
                return strdup("it is no program of this machine, and a script begins with #!");
        return NULL;
}

char *executable_explain(const char *path, int error)
{
        _cleanup_free_ char *hint = find_hint(path, error);

        return hint ? str_format("%s: %s (%s)", path, strerror(error), hint)
                    : str_format("%s: %s", path, strerror(error));
}
