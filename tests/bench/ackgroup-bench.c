/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast messages go through real daemons. "Done" is when the program that sent has the ack (path stream),
 * or the acceptance (path bus). Prints one line, see `usage`. */

#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "stream.h"

static const char usage[] = "Usage: ackgroup-bench -d DIRECTORY [-s SIZE] [-r RECEIVERS] [-w WINDOW] [-m "
                            "memory|durable]\n"
                            "                      [-t SECONDS] [-u WARMUP_SECONDS] [--path stream|bus] "
                            "[--handler builtin|exec]\n"
                            "Starts its own bus and daemons below DIRECTORY, sends for SECONDS with WINDOW "
                            "messages in flight, and\n"
                            "prints: ackgroup SIZE R W MODE msgs_per_s p50_us p99_us p999_us cpu_s_per_M "
                            "rss_kB rss_daemons_kB=…\n";

#define SENT_MAX 65536u

typedef struct Bench {
        BenchOptions options;
        Fleet fleet;
        uint64_t sent[SENT_MAX]; /* when, by number */
        uint64_t next, done, failed;
        uint64_t from; /* what was sent before does not count */
        Histogram latencies;
        char *payload;
} Bench;

static void note_done(Bench *b, uint64_t number, uint64_t now)
{
        uint64_t sent = b->sent[number % SENT_MAX];

        b->done++;
        if (b->from > 0 && sent >= b->from)
                histogram_add(&b->latencies, now - sent);
}

/* Bulk submission. */

static void submit(Bench *b, BenchStream *s)
{
        Frame f = {.type = FRAME_SUBMIT, .submit.payload = {(uint8_t *) b->payload, b->options.size}};
        uint64_t now = bench_now();

        while (b->next - b->done < b->options.window) {
                if (frame_encode(&s->out, &f) < 0)
                        bench_die("submit");
                b->sent[++b->next % SENT_MAX] = now;
        }
}

static void take(Bench *b, BenchStream *s)
{
        uint64_t now = bench_now();
        Frame f;

        while (stream_take(s, &f))
                if (f.type == FRAME_SETTLEMENT) {
                        b->failed += f.settlement.end != SETTLEMENT_ACKED;
                        note_done(b, f.settlement.number, now);
                } else if (f.type == FRAME_REFUSED) {
                        b->failed++;
                        note_done(b, f.refused.number, now);
                }
}

static void stream_until(Bench *b, BenchStream *s, uint64_t until)
{
        while (bench_now() < until) {
                submit(b, s);
                stream_write(s);
                stream_move(s);
                take(b, s);
        }
}

/* Send, over D-Bus; and a method that does nothing, for comparison. */

typedef struct Call {
        Bench *bench;
        uint64_t number;
} Call;

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        Call *call = userdata;

        call->bench->failed += sd_bus_message_is_method_error(reply, NULL) > 0;
        note_done(call->bench, call->number, bench_now());
        free(call);
        return 0;
}

static void call_send(Bench *b, bool empty)
{
        sd_bus_message *m = NULL;
        Call *call = malloc(sizeof *call);
        int r;

        *call = (Call){b, ++b->next};
        b->sent[b->next % SENT_MAX] = bench_now();
        r = sd_bus_message_new_method_call(b->fleet.bus, &m, "org.ackgroup.Client1", "/org/ackgroup/Client1",
                        empty ? "org.freedesktop.DBus.Peer" : "org.ackgroup.Client1.Manager",
                        empty ? "Ping" : "Send");
        if (r >= 0 && !empty)
                r = sd_bus_message_append(m, "ss", "any", "");
        if (r >= 0 && !empty)
                r = sd_bus_message_append_array(m, 'y', b->payload, b->options.size);
        if (r >= 0 && !empty)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r < 0 || sd_bus_call_async(b->fleet.bus, NULL, m, on_reply, call, 0) < 0)
                bench_die("Send");
        sd_bus_message_unref(m);
}

static void bus_until(Bench *b, bool empty, uint64_t until)
{
        while (bench_now() < until) {
                while (b->next - b->done < b->options.window)
                        call_send(b, empty);
                while (sd_bus_process(b->fleet.bus, NULL) > 0)
                        ;
                if (sd_bus_wait(b->fleet.bus, 100000) < 0)
                        bench_die("bus");
        }
        while (b->done < b->next) {
                while (sd_bus_process(b->fleet.bus, NULL) > 0)
                        ;
                (void) sd_bus_wait(b->fleet.bus, 100000);
        }
}

static void print(const Bench *b, double seconds, double n, FleetCpu from)
{
        FleetCpu to = fleet_cpu(&b->fleet);
        double bench = to.bench - from.bench, client = to.client - from.client,
               receivers = to.receivers - from.receivers,
               others = to.bus - from.bus + to.discovery - from.discovery;
        const BenchOptions *o = &b->options;

        printf("ackgroup %u %u %u %s %.0f %.0f %.0f %.0f %.2f %lu rss_daemons_kB=%lu cpu_bench=%.2f "
               "cpu_client=%.2f cpu_receivers=%.2f cpu_bus=%.2f path=%s handler=%s "
               "failed=%lu",
                        o->size, o->receivers, o->window, o->durable ? "durable" : "memory", n / seconds,
                        histogram_usec(&b->latencies, 0.5), histogram_usec(&b->latencies, 0.99),
                        histogram_usec(&b->latencies, 0.999),
                        (bench + client + receivers + others) / n * 1e6,
                        (unsigned long) fleet_rss_kb(&b->fleet, false),
                        (unsigned long) fleet_rss_kb(&b->fleet, true), bench / n * 1e6, client / n * 1e6,
                        receivers / n * 1e6, others / n * 1e6, o->path, o->handler,
                        (unsigned long) b->failed);
}

/* Runs `until` for the warm-up and for the time that counts. */
static void measure(Bench *b, void (*until)(Bench *b, void *what, uint64_t until), void *what)
{
        const BenchOptions *o = &b->options;

        until(b, what, bench_now() + (uint64_t) (o->warmup * 1e9));
        FleetCpu cpu = fleet_cpu(&b->fleet);
        uint64_t done = b->done;
        b->from = bench_now();
        until(b, what, b->from + (uint64_t) (o->seconds * 1e9));
        print(b, (double) (bench_now() - b->from) / 1e9, (double) (b->done - done), cpu);
}

static void until_stream(Bench *b, void *what, uint64_t until)
{
        stream_until(b, what, until);
}

static void until_bus(Bench *b, void *what, uint64_t until)
{
        bus_until(b, false, until);
}

/* Both in turns, since the machine has better and worse moments. */
static void compare_empty(Bench *b)
{
        uint64_t done[2] = {}, spent[2] = {};

        b->from = 0;
        for (unsigned i = 0; i < 10; i++) {
                uint64_t from = bench_now(), before = b->done;

                bus_until(b, i % 2, from + (uint64_t) (b->options.seconds * 1e8));
                spent[i % 2] += bench_now() - from;
                done[i % 2] += b->done - before;
        }
        printf(" send_per_s=%.0f empty_per_s=%.0f", (double) done[0] / ((double) spent[0] / 1e9),
                        (double) done[1] / ((double) spent[1] / 1e9));
}

int main(int argc, char **argv)
{
        Bench *b = calloc(1, sizeof *b);
        BenchStream s;

        bench_options(argc, argv, usage, &b->options);
        bool bus = strcmp(b->options.path, "bus") == 0;
        if ((!bus && strcmp(b->options.path, "stream") != 0) || (bus && !b->options.durable))
                return 3;
        b->payload = calloc(1, b->options.size);
        fleet_start(&b->fleet, &b->options);
        if (bus) {
                measure(b, until_bus, NULL);
                compare_empty(b);
        } else {
                stream_open(&s, b->fleet.bus,
                                &(StreamOptions){.durable = b->options.durable, .settlements = true});
                measure(b, until_stream, &s);
                stream_close(&s);
        }
        printf("\n");
        fleet_end(&b->fleet);
        return b->failed > 0;
}
