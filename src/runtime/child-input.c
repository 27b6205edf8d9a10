/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/child-input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd-util.h"

#define PIPE_SIZE 65536u /* of a new pipe */
/* Of one that was enlarged, where the administrator has not changed that. */
#define PIPE_SIZE_MAX (1u << 20)

/* -EMSGSIZE: the kernel makes no pipe that takes so much at once. */
static int put_into_pipe(const void *input, size_t size, int *ret)
{
        int fds[2], r = 0;
        ssize_t n = 0;

        if (size > PIPE_SIZE_MAX)
                return -EMSGSIZE;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        if (size > PIPE_SIZE)
                (void) fcntl(fds[1], F_SETPIPE_SZ, (int) size);
        if (size > 0)
                n = write(fds[1], input, size);
        if (n < 0 && errno != EAGAIN)
                r = -errno;
        else if ((size_t) n != size)
                r = -EMSGSIZE;
        else
                r = fd_set_nonblock(fds[0], false);
        (void) close(fds[1]);
        if (r < 0)
                (void) close(fds[0]);
        else
                *ret = fds[0];
        return r;
}

static int put_into_memory(const void *input, size_t size, int *ret)
{
        int fd = memfd_create("input", MFD_CLOEXEC), r = 0;

        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < size && r >= 0;) {
                ssize_t n = write(fd, (const uint8_t *) input + done, size - done);
                if (n > 0)
                        done += (size_t) n;
                else if (n == 0 || errno != EINTR)
                        r = n == 0 ? -EIO : -errno;
        }
        if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        if (r < 0)
                (void) close(fd);
        else
                *ret = fd;
        return r;
}

/* The program must never take a part of its input for all of it, also if this process dies. So the whole
 * input is there before the program begins: in a pipe, or in a file if it is too large for that. */
int child_input(const void *input, size_t size, int *ret)
{
        int r = put_into_pipe(input, size, ret);

        return r == -EMSGSIZE ? put_into_memory(input, size, ret) : r;
}
