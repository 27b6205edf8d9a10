/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "model/limits.h"
#include "runtime/connection.h"

#define BACKLOG 512

static void note_file(Listener *l)
{
        struct stat st;

        if (l->address.kind != ADDRESS_UNIX || lstat(l->address.host, &st) < 0)
                return;
        l->device = st.st_dev;
        l->inode = st.st_ino;
}

static int add(ListenerSet *set, int fd, bool inherited, unsigned mode)
{
        struct sockaddr_storage ss;
        socklen_t n = sizeof ss;
        Listener l = {.fd = fd, .inherited = inherited, .mode = mode};
        int r;

        if (getsockname(fd, (struct sockaddr *) &ss, &n) < 0)
                return -errno;
        r = address_from_sockaddr((struct sockaddr *) &ss, n, &l.address);
        if (r < 0)
                return r;
        r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;
        r = fd_set_cloexec(fd, true);
        if (r < 0)
                return r;
        note_file(&l);
        if (l.address.kind == ADDRESS_TCP)
                connection_end_silence(fd, ACCEPTED_SILENCE_USEC);

        Listener *grown = reallocarray(set->listeners, set->n + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        set->listeners = grown;
        set->listeners[set->n++] = l;
        return 0;
}

int listeners_inherit(ListenerSet *set, Error *error)
{
        int r;

        int n = sd_listen_fds(1);
        if (n < 0)
                return error_set(error, n, "cannot take the sockets that systemd passed: %s", strerror(-n));

        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
                if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                        return error_set(error, -EINVAL,
                                        "descriptor %d from systemd is not a listening stream socket", fd);
                r = add(set, fd, true, 0);
                if (r < 0)
                        return error_set(error, r, "socket %d from systemd: %s", fd, strerror(-r));
        }
        return n;
}

/* A process that was killed leaves its socket file, on which nobody accepts. */
static int remove_stale(const struct sockaddr_storage *ss, socklen_t n)
{
        const char *path = ((const struct sockaddr_un *) ss)->sun_path;
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;

        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) ss, n) >= 0 || errno == EAGAIN)
                return -EADDRINUSE;
        if (errno != ECONNREFUSED)
                return -errno;
        return unlink(path) < 0 ? -errno : 0;
}

static int prepare_unix(const Address *address, const struct sockaddr_storage *ss, socklen_t n)
{
        char directory[ADDRESS_MAX_LENGTH];
        int r;

        strcpy(directory, address->host);
        char *slash = strrchr(directory, '/');
        if (slash != directory) {
                *slash = '\0';
                r = mkdir_parents(directory, 0755);
                if (r < 0)
                        return r;
        }
        return remove_stale(ss, n);
}

static int bind_socket(int fd, const Address *address, const struct sockaddr_storage *ss, socklen_t n,
                unsigned mode)
{
        int on = 1, r;

        if (address->kind == ADDRESS_UNIX) {
                r = prepare_unix(address, ss, n);
                if (r < 0)
                        return r;
        } else
                (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);

        if (bind(fd, (const struct sockaddr *) ss, n) < 0)
                return -errno;
        if (address->kind == ADDRESS_UNIX && chmod(address->host, mode) < 0)
                return -errno;
        return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

/* A socket that listens there; or negative errno with the reason. */
static int open_socket(const Address *address, unsigned unix_mode, Error *error)
{
        char text[ADDRESS_STRING_MAX];
        struct sockaddr_storage ss;
        socklen_t n;
        int r;

        (void) address_format(address, text);
        r = address_to_sockaddr(address, &ss, &n);
        if (r < 0)
                return error_set(error, r, "cannot listen on %s: give the host as a number", text);
        _cleanup_close_ int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return error_set(error, -errno, "cannot make a socket for %s: %s", text, strerror(errno));
        r = bind_socket(fd, address, &ss, n, unix_mode);
        if (r < 0)
                return error_set(error, r, "cannot listen on %s: %s", text, strerror(-r));
        return TAKE_FD(fd);
}

int listeners_bind(ListenerSet *set, const Address *address, unsigned unix_mode, Error *error)
{
        char text[ADDRESS_STRING_MAX];
        _cleanup_close_ int fd = open_socket(address, unix_mode, error);
        int r;

        if (fd < 0)
                return fd;
        r = add(set, fd, false, unix_mode);
        if (r < 0)
                return error_set(error, r, "cannot listen on %s: %s", address_format(address, text),
                                strerror(-r));
        (void) TAKE_FD(fd);
        return 0;
}

bool listener_is_lost(const Listener *l)
{
        struct stat st;

        if (l->address.kind != ADDRESS_UNIX || l->inode == 0)
                return false;
        if (lstat(l->address.host, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR;
        return st.st_dev != l->device || st.st_ino != l->inode;
}

int listener_renew(Listener *l, Error *error)
{
        int fd = open_socket(&l->address, l->mode, error);

        if (fd < 0)
                return fd;
        (void) close(l->fd);
        l->fd = fd;
        note_file(l);
        return 0;
}

int listener_accept(const Listener *l)
{
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

void listeners_clear(ListenerSet *set)
{
        for (size_t i = 0; i < set->n; i++) {
                Listener *l = set->listeners + i;
                if (l->address.kind == ADDRESS_UNIX && !l->inherited && l->fd >= 0 && !listener_is_lost(l))
                        (void) unlink(l->address.host);
                (void) close_clear(&l->fd);
        }
        free(set->listeners);
        *set = (ListenerSet){};
}
