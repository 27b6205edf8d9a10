/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sends a number of messages through the client on the session bus, over OpenStream, and returns when all of
 * them are settled (or accepted, with -a). Prints the seconds that this took. See `usage`. */

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "stream.h"

static const char usage[] =
                "Usage: stream-load -n MESSAGES [-w WINDOW] [-s SIZE] [-m MODE] [-g GROUP] "
                "[-k KEYS] [-f FIRST_KEY] [-d SECONDS] [-a] [-t]\n"
                "-k: each message has one of so many ordering keys, in turns. -a: until they are "
                "accepted. -d: with a deadline. -t: in memory only.\n";

#define KEY_SIZE 24

typedef struct Load {
        uint64_t n, keys, first_key;
        unsigned window, size;
        StreamOptions stream;
        char *payload;
        uint64_t sent, done;
} Load;

static void read_words(int argc, char **argv, Load *l)
{
        int c;

        *l = (Load){.window = 256, .size = 128, .stream = {.durable = true, .settlements = true}};
        while ((c = getopt(argc, argv, "n:w:s:m:g:k:f:d:at")) != -1)
                switch (c) {
                case 'n':
                        l->n = strtoull(optarg, NULL, 10);
                        break;
                case 'w':
                        l->window = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 's':
                        l->size = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 'm':
                        l->stream.mode = optarg;
                        break;
                case 'g':
                        l->stream.target = optarg;
                        break;
                case 'k':
                        l->keys = strtoull(optarg, NULL, 10);
                        break;
                case 'f':
                        l->first_key = strtoull(optarg, NULL, 10);
                        break;
                case 'd':
                        l->stream.deadline = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 'a':
                        l->stream.settlements = false;
                        break;
                case 't':
                        l->stream.durable = false;
                        break;
                default:
                        l->n = 0, optind = argc;
                }
        if (l->n == 0 || l->window == 0 || optind < argc) {
                fputs(usage, stderr);
                exit(2);
        }
        l->payload = calloc(1, l->size + 1);
}

static void submit(Load *l, BenchStream *s)
{
        uint8_t key[3 + KEY_SIZE] = {ATTRIBUTE_KEY};
        Frame f = {.type = FRAME_SUBMIT, .submit.payload = {(uint8_t *) l->payload, l->size}};

        while (l->sent < l->n && l->sent - l->done < l->window) {
                if (l->keys > 0) {
                        int n = snprintf((char *) key + 3, KEY_SIZE, "%" PRIu64,
                                        l->first_key + l->sent % l->keys);
                        key[2] = (uint8_t) n;
                        f.submit.attributes = (Bytes){key, 3 + (size_t) n};
                }
                if (frame_encode(&s->out, &f) < 0)
                        bench_die("memory");
                l->sent++;
        }
}

static void take(Load *l, BenchStream *s)
{
        Frame f;

        while (stream_take(s, &f))
                switch (f.type) {
                case FRAME_ACCEPTED:
                        if (!l->stream.settlements)
                                l->done += f.accepted.ids.size / 16;
                        break;
                case FRAME_SETTLEMENT:
                        l->done++;
                        if (f.settlement.end == SETTLEMENT_ACKED)
                                break;
                        fprintf(stderr, "stream-load: %.*s\n", (int) f.settlement.data.size,
                                        (const char *) f.settlement.data.data);
                        exit(1);
                case FRAME_REFUSED:
                        fprintf(stderr, "stream-load: %.*s\n", (int) f.refused.text.size,
                                        (const char *) f.refused.text.data);
                        exit(1);
                default:
                        break;
                }
}

int main(int argc, char **argv)
{
        Load l;
        BenchStream s;
        sd_bus *bus;

        read_words(argc, argv, &l);
        if (sd_bus_open_user(&bus) < 0)
                bench_die("bus");
        stream_open(&s, bus, &l.stream);
        uint64_t from = bench_now();
        while (l.done < l.n) {
                submit(&l, &s);
                stream_write(&s);
                stream_move(&s);
                take(&l, &s);
        }
        printf("%.6f\n", (double) (bench_now() - from) / 1e9);
        stream_close(&s);
        sd_bus_flush_close_unref(bus);
        free(l.payload);
        return EXIT_SUCCESS;
}
