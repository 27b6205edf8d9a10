/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The same job with Redis streams: XADD, a consumer group in processes of their own, XACK, and a list by
 * which the sender hears of it. Durable: every write is synced (appendfsync always). All in pipelines. */

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static const char usage[] =
                "Usage: peer-redis -d DIRECTORY [-s SIZE] [-r RECEIVERS] [-w WINDOW] [-m memory|durable]\n"
                "                  [-t SECONDS] [-u WARMUP_SECONDS]\n";

#define AT_ONCE "256"

static pid_t start_server(const BenchOptions *o)
{
        pid_t pid = fork();
        char socket[4096];

        if (pid < 0)
                bench_die("fork");
        if (pid > 0)
                return pid;
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) snprintf(socket, sizeof socket, "%s/redis.sock", o->directory);
        int null = open("/dev/null", O_RDWR);
        (void) dup2(null, 1);
        (void) execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--dir",
                        o->directory, "--save", "", "--appendonly", o->durable ? "yes" : "no",
                        "--appendfsync", "always", NULL);
        bench_die("redis-server");
        return 0;
}

static redisContext *open_connection(const BenchOptions *o)
{
        char socket[4096];

        (void) snprintf(socket, sizeof socket, "%s/redis.sock", o->directory);
        for (unsigned i = 0; i < 500; i++) {
                redisContext *c = redisConnectUnix(socket);
                if (c && !c->err)
                        return c;
                redisFree(c);
                (void) usleep(10000);
        }
        errno = ETIMEDOUT;
        bench_die(socket);
        return NULL;
}

static redisReply *reply_of(redisContext *c)
{
        redisReply *r = NULL;

        if (redisGetReply(c, (void **) &r) != REDIS_OK || !r || r->type == REDIS_REPLY_ERROR) {
                fprintf(stderr, "bench: redis: %s\n", r ? r->str : c->errstr);
                exit(1);
        }
        return r;
}

static void drop(redisContext *c)
{
        freeReplyObject(reply_of(c));
}

/* Takes what is there, acks it, and tells the sender, in one pipeline. */
static void consumer(const BenchOptions *o, unsigned i)
{
        redisContext *c = open_connection(o);

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                (void) redisAppendCommand(
                                c, "XREADGROUP GROUP g c%u COUNT " AT_ONCE " BLOCK 1000 STREAMS s >", i);
                redisReply *r = reply_of(c);
                if (r->type == REDIS_REPLY_ARRAY) {
                        const redisReply *messages = r->element[0]->element[1];
                        for (size_t j = 0; j < messages->elements; j++) {
                                const redisReply *m = messages->element[j];
                                (void) redisAppendCommand(c, "XACK s g %s", m->element[0]->str);
                                (void) redisAppendCommand(c, "RPUSH acks %b", m->element[1]->element[1]->str,
                                                (size_t) 8);
                        }
                        for (size_t j = 0; j < 2 * messages->elements; j++)
                                drop(c);
                }
                freeReplyObject(r);
        }
}

typedef struct Sender {
        const BenchOptions *options;
        redisContext *out, *in;
        char *message;
        uint64_t *sent;
        uint64_t next, done, from;
        Histogram latencies;
} Sender;

static void note(Sender *s, const redisReply *r, uint64_t now)
{
        uint64_t number;

        if (r->type != REDIS_REPLY_STRING || r->len < 8)
                return;
        memcpy(&number, r->str, 8);
        s->done++;
        if (s->from > 0 && s->sent[number % 65536] >= s->from)
                histogram_add(&s->latencies, now - s->sent[number % 65536]);
}

static void run_until(Sender *s, uint64_t until)
{
        size_t size = MAX(s->options->size, 8u);

        while (bench_now() < until) {
                uint64_t n = s->options->window - (s->next - s->done), now = bench_now();
                for (uint64_t i = 0; i < n; i++) {
                        memcpy(s->message, &s->next, 8);
                        s->sent[s->next++ % 65536] = now;
                        (void) redisAppendCommand(s->out, "XADD s MAXLEN ~ 100000 * m %b", s->message, size);
                }
                for (uint64_t i = 0; i < n; i++)
                        drop(s->out);
                (void) redisAppendCommand(s->in, "BLPOP acks 1");
                (void) redisAppendCommand(s->in, "LPOP acks " AT_ONCE);
                redisReply *first = reply_of(s->in), *more = reply_of(s->in);
                now = bench_now();
                if (first->type == REDIS_REPLY_ARRAY)
                        note(s, first->element[1], now);
                for (size_t i = 0; more->type == REDIS_REPLY_ARRAY && i < more->elements; i++)
                        note(s, more->element[i], now);
                freeReplyObject(first);
                freeReplyObject(more);
        }
}

int main(int argc, char **argv)
{
        pid_t pids[BENCH_RECEIVERS_MAX + 1];
        BenchOptions o;
        Sender s = {.options = &o};

        bench_options(argc, argv, usage, &o);
        pids[o.receivers] = start_server(&o);
        s.out = open_connection(&o);
        s.in = open_connection(&o);
        (void) redisAppendCommand(s.out, "XGROUP CREATE s g $ MKSTREAM");
        drop(s.out);
        for (unsigned i = 0; i < o.receivers; i++) {
                pids[i] = fork();
                if (pids[i] < 0)
                        bench_die("fork");
                if (pids[i] == 0)
                        consumer(&o, i);
        }
        s.sent = calloc(65536, sizeof *s.sent);
        s.message = calloc(1, MAX(o.size, 8u));
        run_until(&s, bench_now() + (uint64_t) (o.warmup * 1e9));
        s.from = bench_now();
        uint64_t done = s.done;
        run_until(&s, s.from + (uint64_t) (o.seconds * 1e9));
        double seconds = (double) (bench_now() - s.from) / 1e9, n = (double) (s.done - done);
        for (unsigned i = 0; i <= o.receivers; i++) {
                (void) kill(pids[i], SIGTERM);
                (void) waitpid(pids[i], NULL, 0);
        }
        printf("redis %u %u %u %s %.0f %.0f %.0f %.0f %.2f -\n", o.size, o.receivers, o.window,
                        o.durable ? "durable" : "memory", n / seconds, histogram_usec(&s.latencies, 0.5),
                        histogram_usec(&s.latencies, 0.99), histogram_usec(&s.latencies, 0.999),
                        (bench_cpu_seconds(RUSAGE_SELF) + bench_cpu_seconds(RUSAGE_CHILDREN)) /
                                        (double) s.done * 1e6);
        return 0;
}
