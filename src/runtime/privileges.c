/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

bool privileges_may_leave_groups(void)
{
        return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SETGID, 0, 0) == 1;
}

int privileges_leave_group(const char *name)
{
        const struct group *group = getgrnam(name);
        const int n = getgroups(0, NULL);
        int kept = 0;

        if (n < 0)
                return -errno;
        if (!group || n == 0)
                return 0;
        _cleanup_free_ gid_t *groups = calloc((size_t) n, sizeof *groups);
        if (!groups)
                return -ENOMEM;
        if (getgroups(n, groups) != n)
                return -errno;
        for (int i = 0; i < n; i++)
                if (groups[i] != group->gr_gid)
                        groups[kept++] = groups[i];
        return kept == n || setgroups((size_t) kept, groups) == 0 ? 0 : -errno;
}

int privileges_drop(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}
