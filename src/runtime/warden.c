/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/warden.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/time-util.h"
#include "runtime/privileges.h"
#include "runtime/warden-process.h"

/* A killed process ends at once, unless it hangs in the kernel. */
#define DEATH_PATIENCE_MSEC 5000

/* A warden that does not take a request for so long has been stopped. WatchdogSec= of the unit is longer. */
#define REQUEST_PATIENCE_SEC 20

/* Start. */

static int make_numbers(Warden *w)
{
        w->wards = calloc(WARDS_MAX, sizeof(Ward *));
        w->unused = calloc(WARDS_MAX, sizeof *w->unused);
        if (!w->wards || !w->unused)
                return -ENOMEM;
        while (w->n_unused < WARDS_MAX) {
                w->unused[w->n_unused] = WARDS_MAX - 1 - (uint32_t) w->n_unused;
                w->n_unused++;
        }
        return 0;
}

/* Also makes the children of a warden that dies ours. */
static int find_others(Warden *w)
{
        int r = prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;

        if (r >= 0)
                r = offspring_open(&w->others);
        return r < 0 ? r : offspring_read(&w->others);
}

static int start_process(Warden *w, int lock_fd)
{
        const struct timeval patience = {.tv_sec = REQUEST_PATIENCE_SEC};
        int requests[2] = {-1, -1}, ends[2] = {-1, -1}, r = 0;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests) < 0 ||
                        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                r = -errno;
        if (r >= 0 && (setsockopt(requests[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
                                      setsockopt(requests[0], SOL_SOCKET, SO_SNDTIMEO, &patience,
                                                      sizeof patience) < 0))
                r = -errno;
        w->pid = r < 0 ? 0 : fork();
        if (r >= 0 && w->pid == 0) {
                const WardenFds fds = {.requests = requests[1], .ends = ends[1], .lock = lock_fd};
                warden_process(&fds);
        }
        if (w->pid < 0) {
                r = -errno;
                w->pid = 0;
        }
        (void) close_clear(requests + 1);
        (void) close_clear(ends + 1);
        w->fd = requests[0];
        w->ends_fd = ends[0];
        if (w->pid > 0) {
                w->pidfd = pidfd_open(w->pid, 0);
                r = w->pidfd < 0 ? -errno : 0;
        }
        return r;
}

int warden_start(int lock_fd, Warden *ret)
{
        int r;

        *ret = (Warden){.pidfd = -1, .fd = -1, .ends_fd = -1, .others.fd = -1};
        r = make_numbers(ret);
        if (r >= 0)
                r = find_others(ret);
        if (r >= 0)
                r = start_process(ret, lock_fd);
        if (r >= 0 && privileges_may_leave_groups())
                r = privileges_drop(); /* the warden had to have it */
        if (r < 0)
                warden_stop(ret);
        return r;
}

/* Ends. */

/* One that is gone leaves its children to us. */
static void on_warden_gone(Warden *w)
{
        watch_stop(&w->watch);
        offspring_kill_all(&w->others, DEATH_PATIENCE_MSEC * USEC_PER_MSEC);
}

static void on_ends(uint32_t events, void *userdata)
{
        Warden *w = userdata;
        WardenEnd end;
        ssize_t n;

        while ((n = recv(w->ends_fd, &end, sizeof end, MSG_DONTWAIT)) == sizeof end) {
                Ward *ward = w->wards[end.ward];

                w->wards[end.ward] = NULL;
                w->unused[w->n_unused++] = end.ward;
                if (ward)
                        ward->ended(ward, &end.end);
        }
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                on_warden_gone(w);
}

/* Requests. */

static int add_words(Buffer *b, char *const *words, uint32_t *ret_n)
{
        int r = 0;

        for (*ret_n = 0; words[*ret_n] && r >= 0; (*ret_n)++)
                r = buffer_append(b, words[*ret_n], strlen(words[*ret_n]) + 1);
        return r;
}

static int make_request(const WardSpec *spec, WardenRequest *q, Buffer *strings)
{
        int r = buffer_append(strings, spec->path, strlen(spec->path) + 1);

        if (r >= 0)
                r = add_words(strings, spec->arguments, &q->n_arguments);
        if (r >= 0)
                r = add_words(strings, spec->environment, &q->n_environment);
        if (r >= 0 && buffer_size(strings) > UINT32_MAX)
                r = -E2BIG;
        q->size = (uint32_t) buffer_size(strings);
        return r;
}

static int error_of_socket(void)
{
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int send_all(int fd, const void *data, size_t size)
{
        for (size_t n = 0; n < size;) {
                ssize_t sent = send(fd, (const char *) data + n, size - n, MSG_NOSIGNAL);

                if (sent < 0 && errno != EINTR)
                        return error_of_socket();
                n += (size_t) MAX(sent, 0);
        }
        return 0;
}

static int send_request(int fd, WardenRequest *q, const int fds[static WARD_FDS])
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int) * WARD_FDS)];
        } control = {};
        struct iovec data = {q, sizeof *q};
        struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
        int sent[WARD_FDS];
        size_t n = 0;

        for (size_t i = 0; i < WARD_FDS; i++)
                if (fds[i] >= 0) {
                        q->fds |= 1u << i;
                        sent[n++] = fds[i];
                }
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.header), sent, n * sizeof(int));
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        ssize_t size = sendmsg(fd, &m, MSG_NOSIGNAL);
        return size < 0 ? error_of_socket() : send_all(fd, (char *) q + size, sizeof *q - (size_t) size);
}

/* False: there is none. */
static bool read_answer(int fd, int *ret)
{
        ssize_t n;

        do
                n = recv(fd, ret, sizeof *ret, MSG_WAITALL);
        while (n < 0 && errno == EINTR);
        return n == sizeof *ret;
}

/* A ward may have begun, and may even have killed the warden, before the answer was sent. So without an
 * answer it has begun. */
static int exchange(Warden *w, WardenRequest *q, const int fds[static WARD_FDS], const Buffer *strings)
{
        int answer = 0, r = send_request(w->fd, q, fds);

        if (r >= 0)
                r = send_all(w->fd, buffer_peek(strings), buffer_size(strings));
        const bool is_sent = r >= 0, is_answered = is_sent && read_answer(w->fd, &answer);

        /* Where the next answer begins is not known any more. Its end makes us end. */
        if (((is_sent && !is_answered) || r == -ETIMEDOUT) && w->pid > 0)
                (void) kill(w->pid, SIGKILL);
        return is_sent ? answer : r;
}

int warden_run(Warden *w, Loop *loop, const WardSpec *spec, Ward *ward)
{
        WardenRequest q = {.verb = WARDEN_RUN, .is_local = spec->is_local};
        Buffer strings = {};
        int r = 0;

        if (w->n_unused == 0)
                return -EAGAIN;
        if (!watch_is_started(&w->watch))
                r = watch_start(&w->watch, loop, w->ends_fd, EPOLLIN, on_ends, w);
        ward->number = w->unused[w->n_unused - 1];
        q.ward = ward->number;
        if (r >= 0)
                r = make_request(spec, &q, &strings);
        if (r >= 0)
                r = exchange(w, &q, spec->fds, &strings);
        buffer_clear(&strings);
        if (r < 0)
                return r;
        w->n_unused--;
        w->wards[ward->number] = ward;
        return 0;
}

void warden_kill(Warden *w, const Ward *ward)
{
        const WardenRequest q = {.verb = WARDEN_KILL, .ward = ward->number};

        (void) send_all(w->fd, &q, sizeof q);
}

void warden_forget(Warden *w, const Ward *ward)
{
        w->wards[ward->number] = NULL;
}

/* Stop. */

/* True: it has ended by itself, so there are no wards. */
static bool wait_for_process(Warden *w)
{
        int status = 0;

        (void) poll(&(struct pollfd){.fd = w->pidfd, .events = POLLIN}, 1, DEATH_PATIENCE_MSEC);
        return waitpid(w->pid, &status, WNOHANG) != w->pid || status == 0;
}

void warden_stop(Warden *w)
{
        if (!w->wards && !w->unused) /* never started */
                return;
        watch_stop(&w->watch);
        (void) close_clear(&w->fd);
        (void) close_clear(&w->ends_fd);
        if (w->pid > 0 && !wait_for_process(w))
                offspring_kill_all(&w->others, DEATH_PATIENCE_MSEC * USEC_PER_MSEC);
        (void) close_clear(&w->pidfd);
        offspring_close(&w->others);
        free(w->wards);
        free(w->unused);
        *w = (Warden){.pidfd = -1, .fd = -1, .ends_fd = -1, .others.fd = -1};
}
