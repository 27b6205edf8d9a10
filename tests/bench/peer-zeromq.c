/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The same job with ZeroMQ: a DEALER sends to ROUTERs in processes of their own, which answer with the
 * number. Nothing is on a disk. */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bench.h"

static const char usage[] =
                "Usage: peer-zeromq -d DIRECTORY [-s SIZE] [-r RECEIVERS] [-w WINDOW] [-m memory]\n"
                "                   [-t SECONDS] [-u WARMUP_SECONDS]\n";

static void receiver(const char *endpoint)
{
        void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
        char id[256], *in = malloc(1 << 20);

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (zmq_bind(router, endpoint) < 0)
                bench_die(endpoint);
        for (;;) {
                int id_size = zmq_recv(router, id, sizeof id, 0), size = zmq_recv(router, in, 1 << 20, 0);
                if (id_size < 0 || size < 8)
                        exit(1);
                (void) zmq_send(router, id, (size_t) id_size, ZMQ_SNDMORE);
                (void) zmq_send(router, in, 8, 0);
        }
}

typedef struct Sender {
        const BenchOptions *options;
        void *dealer;
        char *message;
        uint64_t *sent;
        uint64_t next, done, from;
        Histogram latencies;
} Sender;

static void run_until(Sender *s, uint64_t until)
{
        uint64_t number, now = bench_now();

        while (now < until) {
                while (s->next - s->done < s->options->window) {
                        memcpy(s->message, &s->next, 8);
                        s->sent[s->next % 65536] = bench_now();
                        if (zmq_send(s->dealer, s->message, MAX(s->options->size, 8u), 0) < 0)
                                bench_die("send");
                        s->next++;
                }
                if (zmq_recv(s->dealer, &number, sizeof number, 0) != 8)
                        bench_die("receive");
                do {
                        now = bench_now();
                        s->done++;
                        if (s->from > 0 && s->sent[number % 65536] >= s->from)
                                histogram_add(&s->latencies, now - s->sent[number % 65536]);
                } while (zmq_recv(s->dealer, &number, sizeof number, ZMQ_DONTWAIT) == 8);
        }
}

int main(int argc, char **argv)
{
        pid_t pids[BENCH_RECEIVERS_MAX];
        char endpoint[4096];
        BenchOptions o;
        Sender s = {.options = &o};

        bench_options(argc, argv, usage, &o);
        if (o.durable)
                return 3;
        for (unsigned i = 0; i < o.receivers; i++) {
                (void) snprintf(endpoint, sizeof endpoint, "ipc://%s/%u.sock", o.directory, i);
                pids[i] = fork();
                if (pids[i] < 0)
                        bench_die("fork");
                if (pids[i] == 0)
                        receiver(endpoint);
        }
        s.dealer = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);
        for (unsigned i = 0; i < o.receivers; i++) {
                (void) snprintf(endpoint, sizeof endpoint, "ipc://%s/%u.sock", o.directory, i);
                if (zmq_connect(s.dealer, endpoint) < 0)
                        bench_die(endpoint);
        }
        s.sent = calloc(65536, sizeof *s.sent);
        s.message = calloc(1, MAX(o.size, 8u));
        run_until(&s, bench_now() + (uint64_t) (o.warmup * 1e9));
        s.from = bench_now();
        uint64_t done = s.done;
        run_until(&s, s.from + (uint64_t) (o.seconds * 1e9));
        double seconds = (double) (bench_now() - s.from) / 1e9, n = (double) (s.done - done);
        for (unsigned i = 0; i < o.receivers; i++) {
                (void) kill(pids[i], SIGTERM);
                (void) waitpid(pids[i], NULL, 0);
        }
        printf("zeromq %u %u %u memory %.0f %.0f %.0f %.0f %.2f -\n", o.size, o.receivers, o.window,
                        n / seconds, histogram_usec(&s.latencies, 0.5), histogram_usec(&s.latencies, 0.99),
                        histogram_usec(&s.latencies, 0.999),
                        (bench_cpu_seconds(RUSAGE_SELF) + bench_cpu_seconds(RUSAGE_CHILDREN)) /
                                        (double) s.done * 1e6);
        _exit(fflush(stdout)); /* what is in flight is of no interest */
}
