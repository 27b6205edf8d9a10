/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log-outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time-util.h"

typedef enum OutletKind {
        OUTLET_UNKNOWN,
        OUTLET_FILE,   /* a write does not wait */
        OUTLET_SOCKET, /* such as the journal's */
        OUTLET_OWN,    /* a pipe or terminal, opened again without blocking */
        OUTLET_POLLED, /* the same, but it cannot be opened again */
} OutletKind;

static struct {
        OutletKind kind;
        dev_t device; /* of standard error, when `kind` was found */
        ino_t inode;
        int own;
        size_t begin, end; /* what is kept */
        uint64_t dropped;
        char kept[OUTLET_SIZE];
} outlet = {.own = -1};

/* Other processes share standard error, so its own flags stay as they are. */
static OutletKind find_kind(const struct stat *st)
{
        if (S_ISSOCK(st->st_mode))
                return OUTLET_SOCKET;
        if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
                return OUTLET_FILE;
        outlet.own = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return outlet.own >= 0 ? OUTLET_OWN : OUTLET_POLLED;
}

/* Standard error may be another file than at the last call. */
static void look(void)
{
        struct stat st;

        if (fstat(STDERR_FILENO, &st) < 0)
                st = (struct stat){.st_mode = S_IFREG};
        if (outlet.kind != OUTLET_UNKNOWN && st.st_dev == outlet.device && st.st_ino == outlet.inode)
                return;
        if (outlet.own >= 0)
                (void) close(outlet.own);
        outlet.own = -1;
        outlet.device = st.st_dev;
        outlet.inode = st.st_ino;
        outlet.kind = find_kind(&st);
}

/* Bytes written; -EAGAIN: the reader takes no more now. What fails otherwise is lost. */
static ssize_t try_write(const char *data, size_t n)
{
        struct pollfd p = {STDERR_FILENO, POLLOUT, 0};
        ssize_t k;

        look();
        switch (outlet.kind) {
        case OUTLET_SOCKET:
                k = send(STDERR_FILENO, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case OUTLET_OWN:
                k = write(outlet.own, data, n);
                break;
        case OUTLET_POLLED:
                if (poll(&p, 1, 0) <= 0)
                        return -EAGAIN;
                k = write(STDERR_FILENO, data, MIN(n, 4096u));
                break;
        default:
                /* A full disk: what it does not take is lost. */
                (void) !write(STDERR_FILENO, data, n);
                return (ssize_t) n;
        }
        if (k < 0)
                return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? -EAGAIN : (ssize_t) n;
        return k;
}

bool log_outlet_flush(void)
{
        while (outlet.begin < outlet.end) {
                ssize_t k = try_write(outlet.kept + outlet.begin, outlet.end - outlet.begin);

                if (k < 0)
                        return false;
                outlet.begin += (size_t) k;
        }
        outlet.begin = outlet.end = 0;
        return true;
}

static void keep(const char *line, size_t n)
{
        if (n > sizeof outlet.kept - (outlet.end - outlet.begin)) {
                outlet.dropped++;
                return;
        }
        if (n > sizeof outlet.kept - outlet.end) {
                memmove(outlet.kept, outlet.kept + outlet.begin, outlet.end - outlet.begin);
                outlet.end -= outlet.begin;
                outlet.begin = 0;
        }
        memcpy(outlet.kept + outlet.end, line, n);
        outlet.end += n;
}

/* One write per line, so that lines of several processes do not mix. */
void log_outlet_write(const char *line, size_t n)
{
        ssize_t k = 0;

        if (log_outlet_flush()) {
                k = try_write(line, n);
                if (k == (ssize_t) n)
                        return;
        }
        k = MAX(k, 0);
        keep(line + k, n - (size_t) k);
}

void log_outlet_finish(uint64_t usec)
{
        const uint64_t end = usec_add(now_usec(CLOCK_BOOTTIME), usec);
        struct pollfd p = {STDERR_FILENO, POLLOUT, 0};

        while (!log_outlet_flush()) {
                const uint64_t now = now_usec(CLOCK_BOOTTIME);

                if (now >= end || poll(&p, 1, (int) ((end - now) / USEC_PER_MSEC)) <= 0)
                        return;
        }
}

uint64_t log_outlet_take_dropped(void)
{
        const uint64_t n = outlet.begin < outlet.end ? 0 : outlet.dropped;

        outlet.dropped -= n;
        return n;
}
