/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void bench_die(const char *what)
{
        fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
        exit(1);
}

uint64_t bench_now(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static void refuse(const char *usage, const char *option, const char *value, int status)
{
        fprintf(stderr, "bench: --%s %s is not known here\n%s", option, value, usage);
        exit(status);
}

static unsigned number(const char *usage, const char *option, const char *value, unsigned max)
{
        char *end;
        unsigned long n = strtoul(value, &end, 10);

        if (*end || n < 1 || n > max)
                refuse(usage, option, value, 2);
        return (unsigned) n;
}

static double seconds(const char *usage, const char *option, const char *value)
{
        char *end;
        double n = strtod(value, &end);

        if (*end || n < 0 || n > 3600)
                refuse(usage, option, value, 2);
        return n;
}

void bench_options(int argc, char **argv, const char *usage, BenchOptions *ret)
{
        static const struct option longs[] = {
                        {"size", required_argument, NULL, 's'},
                        {"receivers", required_argument, NULL, 'r'},
                        {"window", required_argument, NULL, 'w'},
                        {"mode", required_argument, NULL, 'm'},
                        {"seconds", required_argument, NULL, 't'},
                        {"warmup", required_argument, NULL, 'u'},
                        {"directory", required_argument, NULL, 'd'},
                        {"path", required_argument, NULL, 'p'},
                        {"handler", required_argument, NULL, 'x'},
                        {"help", no_argument, NULL, 'h'},
                        {},
        };
        int c, i = 0;

        *ret = (BenchOptions){128, 1, 256, true, 5, 1, NULL, "stream", "builtin"};
        while ((c = getopt_long(argc, argv, "s:r:w:m:t:u:d:h", longs, &i)) != -1) {
                switch (c) {
                case 's':
                        ret->size = number(usage, "size", optarg, 1 << 20);
                        break;
                case 'r':
                        ret->receivers = number(usage, "receivers", optarg, BENCH_RECEIVERS_MAX);
                        break;
                case 'w':
                        ret->window = number(usage, "window", optarg, 65536);
                        break;
                case 'm':
                        if (strcmp(optarg, "durable") != 0 && strcmp(optarg, "memory") != 0)
                                refuse(usage, "mode", optarg, 3);
                        ret->durable = optarg[0] == 'd';
                        break;
                case 't':
                        ret->seconds = seconds(usage, "seconds", optarg);
                        break;
                case 'u':
                        ret->warmup = seconds(usage, "warmup", optarg);
                        break;
                case 'd':
                        ret->directory = optarg;
                        break;
                case 'p':
                        ret->path = optarg;
                        break;
                case 'x':
                        ret->handler = optarg;
                        break;
                default:
                        fputs(usage, c == 'h' ? stdout : stderr);
                        exit(c == 'h' ? 0 : 2);
                }
        }
        if (!ret->directory || optind < argc) {
                fputs(usage, stderr);
                exit(2);
        }
}

void histogram_add(Histogram *h, uint64_t nsec)
{
        unsigned octave = nsec < 64 ? 0 : 58 - (unsigned) __builtin_clzll(nsec);

        h->counts[octave * 64 + ((nsec >> (octave > 0 ? octave - 1 : 0)) & 63)]++;
        h->n++;
}

double histogram_usec(const Histogram *h, double quantile)
{
        uint64_t wanted = (uint64_t) ((double) h->n * quantile), n = 0;

        for (unsigned i = 0; i < 64 * 64; i++) {
                n += h->counts[i];
                if (n > wanted) {
                        unsigned octave = i / 64;
                        double low = octave > 0 ? (double) ((64 + (uint64_t) (i % 64)) << (octave - 1))
                                                : (double) (i % 64);
                        return low / 1000;
                }
        }
        return 0;
}

double bench_cpu_seconds(int who)
{
        struct rusage u;

        (void) getrusage(who, &u);
        return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
