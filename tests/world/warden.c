/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/warden.h"

#include "world/child-group.h"

/* The receiver's view of its warden (child-warden.c). */

int warden_start(int lock_fd, Warden *ret)
{
        kill_point();
        ChildWarden *w = child_warden_new(lock_fd);
        *ret = (Warden){.pid = 1, .pidfd = child_warden_fd(w), .fd = -1};
        return 0;
}

void warden_stop(Warden *w)
{
        if (w->pid > 0)
                child_warden_stop(fd_userdata(w->pidfd));
        *w = (Warden){};
}
