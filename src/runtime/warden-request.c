/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/warden-request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool read_exactly(int fd, void *data, size_t size)
{
        for (size_t n = 0; n < size;) {
                ssize_t got = read(fd, (char *) data + n, size - n);

                if (got == 0 || (got < 0 && errno != EINTR))
                        return false;
                n += (size_t) MAX(got, 0);
        }
        return true;
}

/* -EPIPE also without memory: what comes next could not be found. */
static int read_strings(int fd, WardenInbox *in)
{
        const size_t size = in->request.size;

        if (size > in->strings_allocated) {
                free(in->strings);
                in->strings = malloc(size);
                in->strings_allocated = in->strings ? size : 0;
        }
        return size == 0 || (in->strings && read_exactly(fd, in->strings, size)) ? 0 : -EPIPE;
}

/* The descriptors get the places that the request says. */
static int take_descriptors(struct msghdr *m, WardenInbox *in)
{
        const struct cmsghdr *c = CMSG_FIRSTHDR(m);
        int came[WARD_FDS];
        size_t n_came = 0, n = 0;

        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                n_came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(came, CMSG_DATA(c), n_came * sizeof(int));
        }
        for (size_t i = 0; i < WARD_FDS; i++)
                if ((in->request.fds & 1u << i) && n++ < n_came)
                        in->spec.fds[i] = came[n - 1];
        /* Some are missing: this process has no room for them. */
        return n == n_came ? 0 : -EMFILE;
}

/* 0; -EPIPE; or -EMFILE. */
static int read_head(int fd, WardenInbox *in)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int) * WARD_FDS)];
        } control;
        struct iovec data = {&in->request, sizeof in->request};
        struct msghdr m = {
                        .msg_iov = &data,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control,
        };
        ssize_t n;

        do
                n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n <= 0 || !read_exactly(fd, (char *) &in->request + n, sizeof in->request - (size_t) n))
                return -EPIPE;
        return take_descriptors(&m, in);
}

/* Splits strings, each with a NUL, and writes their addresses, with a NULL behind them. Returns what is
 * behind the strings; NULL: there are not as many. */
static char *split(char *at, const char *end, char **ret, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                char *nul = memchr(at, '\0', (size_t) (end - at));

                if (!nul)
                        return NULL;
                ret[i] = at;
                at = nul + 1;
        }
        ret[n] = NULL;
        return at;
}

/* The path, the arguments, the environment. */
static int split_all(WardenInbox *in)
{
        const size_t n_arguments = in->request.n_arguments, n_environment = in->request.n_environment,
                     n = n_arguments + n_environment + 4;
        const char *end = in->strings + in->request.size;
        char *at = in->strings;

        if (n > in->words_allocated) {
                char **grown = reallocarray(in->words, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                in->words = grown;
                in->words_allocated = n;
        }
        char **arguments = in->words + 2, **environment = arguments + n_arguments + 1;
        at = in->request.size > 0 ? split(at, end, in->words, 1) : NULL;
        at = at ? split(at, end, arguments, n_arguments) : NULL;
        at = at ? split(at, end, environment, n_environment) : NULL;
        if (at != end || in->request.ward >= WARDS_MAX)
                return -EINVAL;
        in->spec.path = in->words[0];
        in->spec.arguments = arguments;
        in->spec.environment = environment;
        in->spec.is_local = in->request.is_local;
        return 0;
}

int warden_request_read(int fd, WardenInbox *in)
{
        int r;

        in->spec = (WardSpec){.fds = {-1, -1, -1, -1}};
        r = read_head(fd, in);
        if (r != -EPIPE && read_strings(fd, in) < 0)
                r = -EPIPE;
        return r >= 0 && in->request.verb == WARDEN_RUN ? split_all(in) : r;
}
