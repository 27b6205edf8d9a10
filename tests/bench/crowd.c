/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* crowd SOCKET [CREDIT]: any number of receivers behind one Unix socket. Each connection becomes the
 * receiver that its HELLO asks for, gives CREDIT (64), and acks every message at once. It keeps nothing: it
 * stands for the far end where the client or discovery is measured, and costs little beside them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd-util.h"
#include "bench.h"
#include "wire/frame.h"

#define READ_SIZE ((size_t) 1 << 16)

typedef struct Member {
        int fd;
        Buffer in, out;
} Member;

static uint32_t credit = 64;

static void member_close(Member *m)
{
        (void) close(m->fd);
        buffer_clear(&m->in);
        buffer_clear(&m->out);
        free(m);
}

static void answer(Member *m, const Frame *f)
{
        Frame a;

        switch (f->type) {
        case FRAME_HELLO:
                a = (Frame){.type = FRAME_WELCOME,
                                .welcome = {f->hello.receiver, f->hello.receiver, credit, 65536, 1 << 20,
                                                {(const uint8_t *) "crowd", 5}}};
                break;
        case FRAME_MESSAGE:
                a = (Frame){.type = FRAME_ANSWER,
                                .answer = {.stream = f->message.stream,
                                                .sequence = f->message.sequence,
                                                .message = f->message.message,
                                                .attempt = f->message.attempt,
                                                .outcome = OUTCOME_ACKED}};
                break;
        case FRAME_SETTLED:
                if (!(f->settled.flags & SETTLED_CLOSED))
                        return;
                a = (Frame){.type = FRAME_PRUNED, .stream = f->settled.stream};
                break;
        case FRAME_PING:
                a = (Frame){.type = FRAME_PONG, .token = f->token};
                break;
        default:
                return;
        }
        if (frame_encode(&m->out, &a) < 0)
                bench_die("memory");
}

/* False: the connection is at its end. */
static bool member_read(Member *m)
{
        uint8_t *room = buffer_reserve(&m->in, READ_SIZE);
        ssize_t n = room ? read(m->fd, room, READ_SIZE) : -1;
        Error error = {};
        Frame f;

        if (n <= 0)
                return n < 0 && errno == EAGAIN;
        buffer_added(&m->in, (size_t) n);
        while ((n = frame_decode(buffer_peek(&m->in), buffer_size(&m->in), FRAME_BODY_MAX, &f, NULL,
                                &error)) > 0) {
                answer(m, &f);
                buffer_consume(&m->in, (size_t) n);
        }
        if (n < 0) {
                fprintf(stderr, "crowd: %s\n", error.text);
                return false;
        }
        if (buffer_size(&m->in) == 0)
                buffer_clear(&m->in);
        return true;
}

static bool member_write(Member *m, int epoll)
{
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = m};

        while (buffer_size(&m->out) > 0) {
                ssize_t n = send(m->fd, buffer_peek(&m->out), buffer_size(&m->out),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return false;
                buffer_consume(&m->out, (size_t) n);
        }
        if (buffer_size(&m->out) > 0)
                e.events |= EPOLLOUT;
        else
                buffer_clear(&m->out);
        return epoll_ctl(epoll, EPOLL_CTL_MOD, m->fd, &e) == 0;
}

static void accept_all(int listener, int epoll)
{
        int fd;

        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                Member *m = calloc(1, sizeof *m);
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = m};

                if (!m || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
                        bench_die("accept");
                m->fd = fd;
        }
        if (errno != EAGAIN)
                bench_die("accept");
}

static int listen_at(const char *path)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof sa.sun_path) {
                errno = ENAMETOOLONG;
                bench_die(path);
        }
        memcpy(sa.sun_path, path, strlen(path));
        if (fd < 0 || bind(fd, (struct sockaddr *) &sa, sizeof sa) < 0 || listen(fd, 4096) < 0)
                bench_die(path);
        return fd;
}

int main(int argc, char **argv)
{
        struct epoll_event events[256], e = {.events = EPOLLIN};

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "Usage: crowd SOCKET [CREDIT]\n");
                return EXIT_FAILURE;
        }
        if (argc == 3)
                credit = (uint32_t) strtoul(argv[2], NULL, 10);
        fd_raise_limit();
        int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_at(argv[1]);
        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
                bench_die("epoll");
        for (;;) {
                int n = epoll_wait(epoll, events, ELEMENTSOF(events), -1);

                for (int i = 0; i < n; i++) {
                        Member *m = events[i].data.ptr;

                        if (!m)
                                accept_all(listener, epoll);
                        else if (!member_read(m) || !member_write(m, epoll))
                                member_close(m);
                }
        }
}
