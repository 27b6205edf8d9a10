/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The limit of the machine: what ackgroup does at the least, and nothing else. Messages go from one process
 * over TCP to others, in batches, and are acked in batches; durable: both ends write each batch to a
 * preallocated log of zeroes and sync it first. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static const char usage[] =
                "Usage: raw-limit -d DIRECTORY [-s SIZE] [-r RECEIVERS] [-w WINDOW] [-m memory|durable]\n"
                "                 [-t SECONDS] [-u WARMUP_SECONDS] [--path tcp|unix]\n";

#define LOG_SIZE ((size_t) 64 << 20)
#define CHUNK    ((size_t) 1 << 20)

typedef struct Log {
        int fd; /* -1: memory */
        size_t at;
} Log;

static Log log_open(const BenchOptions *o, const char *name)
{
        static char zeroes[1 << 16];
        char path[4096];
        Log l = {-1, 0};

        if (!o->durable)
                return l;
        (void) snprintf(path, sizeof path, "%s/%s.log", o->directory, name);
        l.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        for (size_t n = 0; l.fd >= 0 && n < LOG_SIZE; n += sizeof zeroes)
                if (write(l.fd, zeroes, sizeof zeroes) != (ssize_t) sizeof zeroes)
                        bench_die(path);
        if (l.fd < 0 || fsync(l.fd) < 0)
                bench_die(path);
        return l;
}

static void log_write(Log *l, const void *data, size_t n)
{
        if (l->fd < 0)
                return;
        if (l->at + n > LOG_SIZE)
                l->at = 0;
        if (pwrite(l->fd, data, n, (off_t) l->at) != (ssize_t) n || fdatasync(l->fd) < 0)
                bench_die("log");
        l->at += n;
}

static void send_all(int fd, const char *data, size_t n)
{
        while (n > 0) {
                ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
                if (k < 0 && errno != EINTR)
                        bench_die("send");
                data += MAX(k, 0), n -= (size_t) MAX(k, 0);
        }
}

/* Reads whatever is there, writes it to the log, answers with the numbers of the messages. */
static void receiver(const BenchOptions *o, int fd, unsigned i)
{
        char name[32], *in = malloc(CHUNK), *out = malloc(CHUNK);
        size_t size = MAX(o->size, 8u), have = 0;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) snprintf(name, sizeof name, "receiver-%u", i);
        Log l = log_open(o, name);
        for (;;) {
                ssize_t k = read(fd, in + have, CHUNK - have);
                if (k <= 0)
                        exit(0);
                have += (size_t) k;
                size_t n = have / size;
                if (n == 0)
                        continue;
                log_write(&l, in, n * size);
                for (size_t j = 0; j < n; j++)
                        memcpy(out + j * 8, in + j * size, 8);
                if (send(fd, out, n * 8, MSG_NOSIGNAL) < 0)
                        exit(0); /* the sender has ended */
                memmove(in, in + n * size, have - n * size);
                have -= n * size;
        }
}

static int listener(struct sockaddr_in *ret)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t n = sizeof *ret;

        *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (fd < 0 || bind(fd, (struct sockaddr *) ret, n) < 0 || listen(fd, 64) < 0 ||
                        getsockname(fd, (struct sockaddr *) ret, &n) < 0)
                bench_die("listen");
        return fd;
}

/* A connection to a process that receives: over TCP, or a pair of Unix sockets. */
static int start_receiver(const BenchOptions *o, unsigned i)
{
        int pair[2], l = -1, one = 1;
        struct sockaddr_in address;

        if (strcmp(o->path, "unix") != 0)
                l = listener(&address);
        else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                bench_die("socketpair");
        pid_t pid = fork();
        if (pid < 0)
                bench_die("fork");
        if (pid == 0) {
                int fd = l < 0 ? pair[1] : accept(l, NULL, NULL);
                if (l < 0)
                        (void) close(pair[0]);
                (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                receiver(o, fd, i);
        }
        if (l < 0) {
                (void) close(pair[1]);
                return pair[0];
        }
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                bench_die("connect");
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void) close(l);
        return fd;
}

typedef struct Sender {
        const BenchOptions *options;
        int epoll, fds[BENCH_RECEIVERS_MAX];
        size_t size;
        Log log;
        uint64_t *sent; /* when, by number modulo the window */
        uint64_t next, acked;
        unsigned turn;
        char *batch;
        Histogram latencies;
        uint64_t from;
} Sender;

/* Everything that the window has room for, in equal parts. */
static void send_batch(Sender *s)
{
        const BenchOptions *o = s->options;
        uint64_t now = bench_now(), n = o->window - (s->next - s->acked);

        n = MIN(n, CHUNK / s->size);
        if (n == 0)
                return;
        for (uint64_t i = 0; i < n; i++) {
                memcpy(s->batch + i * s->size, &s->next, 8);
                s->sent[s->next % 65536] = now;
                s->next++;
        }
        log_write(&s->log, s->batch, n * s->size);
        for (uint64_t i = 0, part = (n + o->receivers - 1) / o->receivers; i < n; i += part) {
                send_all(s->fds[s->turn], s->batch + i * s->size, MIN(part, n - i) * s->size);
                s->turn = (s->turn + 1) % o->receivers;
        }
}

static void read_acks(Sender *s, int fd)
{
        uint64_t acks[8192], now;
        size_t have = 0;

        do {
                ssize_t k = read(fd, (char *) acks + have, sizeof acks - have);
                if (k <= 0)
                        bench_die("read");
                have += (size_t) k;
        } while (have % 8 != 0);
        now = bench_now();
        for (size_t i = 0; i < have / 8; i++)
                if (s->from > 0 && s->sent[acks[i] % 65536] >= s->from)
                        histogram_add(&s->latencies, now - s->sent[acks[i] % 65536]);
        s->acked += have / 8;
}

static void run_until(Sender *s, uint64_t until)
{
        struct epoll_event events[BENCH_RECEIVERS_MAX];

        while (bench_now() < until) {
                send_batch(s);
                int n = epoll_wait(s->epoll, events, BENCH_RECEIVERS_MAX, 1000);
                for (int i = 0; i < n; i++)
                        read_acks(s, events[i].data.fd);
        }
}

int main(int argc, char **argv)
{
        BenchOptions o;
        Sender s = {.options = &o};

        bench_options(argc, argv, usage, &o);
        s.size = MAX(o.size, 8u);
        s.epoll = epoll_create1(EPOLL_CLOEXEC);
        s.sent = calloc(65536, sizeof *s.sent);
        s.batch = calloc(1, CHUNK);
        for (unsigned i = 0; i < o.receivers; i++) {
                s.fds[i] = start_receiver(&o, i);
                struct epoll_event event = {.events = EPOLLIN, .data.fd = s.fds[i]};
                (void) epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.fds[i], &event);
        }
        s.log = log_open(&o, "sender");
        run_until(&s, bench_now() + (uint64_t) (o.warmup * 1e9));
        s.from = bench_now();
        uint64_t acked = s.acked;
        run_until(&s, s.from + (uint64_t) (o.seconds * 1e9));
        double seconds = (double) (bench_now() - s.from) / 1e9, n = (double) (s.acked - acked);
        double total = (double) s.acked;
        for (unsigned i = 0; i < o.receivers; i++)
                (void) close(s.fds[i]);
        while (wait(NULL) > 0)
                ;
        printf("raw %u %u %u %s %.0f %.0f %.0f %.0f %.2f -\n", o.size, o.receivers, o.window,
                        o.durable ? "durable" : "memory", n / seconds, histogram_usec(&s.latencies, 0.5),
                        histogram_usec(&s.latencies, 0.99), histogram_usec(&s.latencies, 0.999),
                        (bench_cpu_seconds(RUSAGE_SELF) + bench_cpu_seconds(RUSAGE_CHILDREN)) / total * 1e6);
        return 0;
}
