/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/fd-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/columns.h"
#include "ctl/send.h"
#include "ctl/value.h"
#include "model/selector.h"
#include "wire/frame.h"

#define CHUNK      65536u
#define OUTPUT_MAX ((size_t) 1 << 20)
#define SHOW_USEC  (200 * USEC_PER_MSEC)
#define TOLD_MAX   20u /* lines whose failure is told one by one */
#define BAR_WIDTH  24

/* A line that is accepted and not settled: its id, for --json. */
typedef struct Open {
        uint64_t number;
        sd_id128_t id;
        UT_hash_handle hh;
} Open;

typedef struct Lines {
        Ctl *c;
        int in, fd;
        Buffer input, output, answers;
        char separator;
        bool ended;                /* no more input */
        uint64_t input_size, read; /* bytes; size 0: not known */

        uint32_t credit;
        uint64_t submitted; /* lines: the client numbers them as we do */
        uint64_t behind;    /* up to here everything is accepted or refused; some refusals come early */
        uint64_t accepted, ends[_SETTLEMENT_MAX], refused, retried, told;
        bool several; /* receivers for each line: attempts are those of all, so that retries cannot be told
                       */
        Open *open;

        uint64_t started, shown; /* CLOCK_BOOTTIME */
        bool on_bar;
} Lines;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
        interrupted = 1;
}

static uint64_t settled(const Lines *l)
{
        uint64_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(l->ends); i++)
                n += l->ends[i];
        return n;
}

static uint64_t waiting(const Lines *l)
{
        return l->c->no_wait ? l->submitted - l->accepted - l->refused
                             : l->submitted - settled(l) - l->refused;
}

/* What people see. */

static void leave_bar(Lines *l)
{
        if (l->on_bar)
                fputs("\r\033[K", stderr);
        l->on_bar = false;
}

#define RETRIES_MAX 40u

static const char *retries(const Lines *l, char buffer[static RETRIES_MAX])
{
        buffer[0] = '\0';
        if (!l->several)
                (void) snprintf(buffer, RETRIES_MAX, ", %" PRIu64 " retried", l->retried);
        return buffer;
}

static void show_bar(Lines *l)
{
        char retried[RETRIES_MAX];
        uint64_t now = now_usec(CLOCK_BOOTTIME), done = l->c->no_wait ? l->accepted : settled(l);
        double seconds = (double) (now - l->started) / (double) USEC_PER_SEC;
        double part = l->input_size > 0 && l->submitted > 0
                                      ? (double) l->read / (double) l->input_size * (double) done /
                                                        (double) l->submitted
                                      : 0;
        char bar[BAR_WIDTH + 1], portion[BAR_WIDTH + 16] = "", left[DURATION_MAX] = "", line[256];

        if (!isatty(STDERR_FILENO) || l->c->json != JSON_OFF || now - l->shown < SHOW_USEC)
                return;
        l->shown = now;
        l->on_bar = true;
        if (l->input_size > 0) {
                memset(bar, ' ', BAR_WIDTH);
                memset(bar, '#', (size_t) MIN(part * BAR_WIDTH, (double) BAR_WIDTH));
                bar[BAR_WIDTH] = '\0';
                (void) snprintf(portion, sizeof portion, "[%s] %3.0f %%  ", bar, part * 100);
                if (part > 0.001)
                        (void) format_duration(
                                        left, (uint64_t) (seconds * (1 - part) / part) * USEC_PER_SEC);
        }
        (void) snprintf(line, sizeof line, "%s%" PRIu64 " %s, %" PRIu64 " waiting%s, %.0f/s%s%s", portion,
                        done, l->c->no_wait ? "accepted" : "done", waiting(l), retries(l, retried),
                        seconds > 0 ? (double) done / seconds : 0, left[0] ? ", left: " : "", left);
        fputs("\r\033[K", stderr);
        /* A line that is longer cannot be written over. */
        (void) columns_print(stderr, line, columns_of_terminal(STDERR_FILENO) - 1);
        (void) fflush(stderr);
}

static void tell_failure(Lines *l, uint64_t line, const char *what, Bytes why)
{
        _cleanup_free_ char *text = str_printable(why.data, why.size, 200);

        if (l->c->json != JSON_OFF || ++l->told > TOLD_MAX)
                return;
        leave_bar(l);
        fprintf(stderr, "ackctl: line %" PRIu64 ": %s%s%s\n", line, what, str_empty(text) ? "" : ": ",
                        text ?: "");
}

static void print_json(const Lines *l, uint64_t line, const sd_id128_t *id, const char *end,
                uint32_t attempts, Bytes data)
{
        char text[SD_ID128_UUID_STRING_MAX];
        _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();
        bool acked = str_equal(end, "acked");

        cJSON_AddNumberToObject(object, "line", (double) line);
        if (id)
                cJSON_AddStringToObject(object, "id", sd_id128_to_uuid_string(*id, text));
        cJSON_AddStringToObject(object, "end", end);
        if (attempts > 0)
                cJSON_AddNumberToObject(object, "attempts", attempts);
        if (data.size > 0)
                cJSON_AddItemToObject(
                                object, acked ? "reply" : "error", value_of_bytes(data.data, data.size));
        value_print(l->c, object);
}

static const char *const end_words[_SETTLEMENT_MAX] = {
                [SETTLEMENT_ACKED] = "acked",
                [SETTLEMENT_REJECTED] = "rejected",
                [SETTLEMENT_CANCELLED] = "cancelled",
                [SETTLEMENT_DEAD] = "dead",
};

static void summary_json(const Lines *l, double seconds)
{
        _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();

        cJSON_AddNumberToObject(object, "lines", (double) l->submitted);
        cJSON_AddNumberToObject(object, "accepted", (double) l->accepted);
        for (SettlementEnd end = SETTLEMENT_ACKED; end < _SETTLEMENT_MAX; end++)
                cJSON_AddNumberToObject(object, end_words[end], (double) l->ends[end]);
        cJSON_AddNumberToObject(object, "refused", (double) l->refused);
        cJSON_AddNumberToObject(object, "waiting", (double) waiting(l));
        if (!l->several)
                cJSON_AddNumberToObject(object, "retried", (double) l->retried);
        cJSON_AddNumberToObject(object, "seconds", seconds);
        value_print(l->c, object);
}

static void show_summary(Lines *l)
{
        double seconds = (double) (now_usec(CLOCK_BOOTTIME) - l->started) / (double) USEC_PER_SEC;
        uint64_t done = l->c->no_wait ? l->accepted : settled(l);
        char retried[RETRIES_MAX];

        leave_bar(l);
        if (l->c->json != JSON_OFF) {
                summary_json(l, seconds);
                return;
        }
        if (l->told > TOLD_MAX)
                fprintf(stderr, "ackctl: … and %" PRIu64 " more lines\n", l->told - TOLD_MAX);
        if (l->c->no_legend)
                return;
        fprintf(stderr, "%" PRIu64 " lines: ", l->submitted);
        if (l->c->no_wait)
                fprintf(stderr, "%" PRIu64 " accepted", l->accepted);
        for (SettlementEnd end = SETTLEMENT_ACKED; end < _SETTLEMENT_MAX && !l->c->no_wait; end++)
                if (end == SETTLEMENT_ACKED || l->ends[end] > 0)
                        fprintf(stderr, "%s%" PRIu64 " %s", end == SETTLEMENT_ACKED ? "" : ", ",
                                        l->ends[end], end_words[end]);
        if (l->refused > 0)
                fprintf(stderr, ", %" PRIu64 " refused", l->refused);
        if (waiting(l) > 0)
                fprintf(stderr, ", %" PRIu64 " waiting", waiting(l));
        fprintf(stderr, "%s in %.1fs, %.0f/s\n", retries(l, retried), seconds,
                        seconds > 0 ? (double) done / seconds : 0);
}

/* What the client answers. */

static void refuse(Lines *l, uint64_t line, Bytes reason, Bytes text)
{
        l->refused++;
        if (l->c->json != JSON_OFF)
                print_json(l, line, NULL, "refused", 0, text);
        tell_failure(l, line, "refused", text.size > 0 ? text : reason);
}

static int on_accepted(Lines *l, const AcceptedFrame *f)
{
        size_t n = f->ids.size / sizeof(sd_id128_t);

        l->accepted += n;
        l->behind = MAX(l->behind, f->first + n - 1);
        for (size_t i = 0; i < n; i++) {
                char text[SD_ID128_UUID_STRING_MAX];
                sd_id128_t id;

                memcpy(&id, f->ids.data + i * sizeof id, sizeof id);
                if (l->c->no_wait && l->c->json == JSON_OFF)
                        puts(sd_id128_to_uuid_string(id, text));
                else if (l->c->no_wait)
                        print_json(l, f->first + i, &id, "accepted", 0, (Bytes){});
                else if (l->c->json != JSON_OFF) {
                        Open *o = calloc(1, sizeof *o);
                        if (!o)
                                return -ENOMEM;
                        o->number = f->first + i;
                        o->id = id;
                        HASH_ADD(hh, l->open, number, sizeof o->number, o);
                }
        }
        return 0;
}

static void on_settlement(Lines *l, const SettlementFrame *f)
{
        Open *o = NULL;

        l->ends[f->end]++;
        l->retried += f->attempts > 1 ? f->attempts - 1 : 0;
        if (f->end != SETTLEMENT_ACKED)
                tell_failure(l, f->number, end_words[f->end], f->data);
        if (l->c->json == JSON_OFF)
                return;
        HASH_FIND(hh, l->open, &f->number, sizeof f->number, o);
        print_json(l, f->number, o ? &o->id : NULL, end_words[f->end], f->attempts, f->data);
        if (o) {
                HASH_DELETE(hh, l->open, o);
                free(o);
        }
}

/* 0, or an exit code. */
static int take_answers(Lines *l)
{
        Error error = {};
        ssize_t n;
        Frame f;

        while ((n = frame_decode(buffer_peek(&l->answers), buffer_size(&l->answers), FRAME_BODY_MAX, &f,
                                NULL, &error)) > 0) {
                if (f.type == FRAME_CREDIT)
                        l->credit = f.credit;
                else if (f.type == FRAME_ACCEPTED && on_accepted(l, &f.accepted) < 0)
                        return ctl_fail(EXIT_FAILED, "out of memory");
                else if (f.type == FRAME_REFUSED) {
                        if (f.refused.number == l->behind + 1)
                                l->behind++;
                        refuse(l, f.refused.number, f.refused.reason, f.refused.text);
                } else if (f.type == FRAME_SETTLEMENT)
                        on_settlement(l, &f.settlement);
                else if (f.type == FRAME_ERROR)
                        return ctl_fail(EXIT_FAILED, "the client ends the stream: %.*s", (int) f.text.size,
                                        (const char *) f.text.data);
                buffer_consume(&l->answers, (size_t) n);
        }
        return n < 0 ? ctl_fail(EXIT_FAILED, "the client's answer cannot be read: %s", error.text) : 0;
}

/* The input. */

static bool wants_input(const Lines *l)
{
        return !l->ended && !interrupted && waiting(l) < l->credit && buffer_size(&l->output) < OUTPUT_MAX;
}

static int submit(Lines *l, const uint8_t *data, size_t size)
{
        l->submitted++;
        return frame_encode(&l->output, &(Frame){.type = FRAME_SUBMIT, .submit.payload = {data, size}});
}

/* Submits the lines that are whole, as far as credit goes. */
static int take_lines(Lines *l)
{
        while (waiting(l) < l->credit && buffer_size(&l->output) < OUTPUT_MAX) {
                const uint8_t *data = buffer_peek(&l->input);
                size_t size = buffer_size(&l->input);
                const uint8_t *end = size > 0 ? memchr(data, l->separator, size) : NULL;

                /* No frame can carry it, and a part of it is another message. */
                if (!end && size > PAYLOAD_MAX) {
                        return ctl_fail(EXIT_FAILED,
                                        "line %" PRIu64 " is longer than %u bytes, the most "
                                        "that one message can have",
                                        l->submitted + 1, PAYLOAD_MAX);
                }
                if (!end && (!l->ended || size == 0))
                        return 0;
                size_t n = end ? (size_t) (end - data) : size;
                if (submit(l, data, n) < 0)
                        return ctl_fail(EXIT_FAILED, "cannot submit line %" PRIu64, l->submitted);
                buffer_consume(&l->input, n + (end ? 1 : 0));
        }
        return 0;
}

static int read_input(Lines *l)
{
        uint8_t *room = buffer_reserve(&l->input, CHUNK);
        ssize_t n = room ? read(l->in, room, CHUNK) : -1;

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n < 0)
                return ctl_fail(EXIT_FAILED, "cannot read the lines: %s", strerror(errno));
        l->ended = n == 0;
        l->read += (uint64_t) n;
        buffer_added(&l->input, (size_t) n);
        return 0;
}

/* The socket. */

static int lost(Lines *l)
{
        leave_bar(l);
        return ctl_fail(EXIT_NO_SERVICE,
                        "the client has gone: %" PRIu64
                        " lines were accepted (they are delivered when it is back), "
                        "go on from line %" PRIu64,
                        l->accepted, l->behind + 1);
}

static int write_output(Lines *l)
{
        while (buffer_size(&l->output) > 0) {
                ssize_t n = send(l->fd, buffer_peek(&l->output), buffer_size(&l->output),
                                MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n < 0)
                        return lost(l);
                buffer_consume(&l->output, (size_t) n);
        }
        return 0;
}

static int read_socket(Lines *l)
{
        uint8_t *room = buffer_reserve(&l->answers, CHUNK);
        ssize_t n = room ? recv(l->fd, room, CHUNK, MSG_DONTWAIT) : -1;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return lost(l);
        buffer_added(&l->answers, (size_t) n);
        return take_answers(l);
}

static int run_once(Lines *l)
{
        struct pollfd fds[] = {
                        {.fd = l->fd,
                                        .events = (short) (POLLIN |
                                                           (buffer_size(&l->output) > 0 ? POLLOUT : 0))},
                        {.fd = wants_input(l) && buffer_size(&l->input) <= PAYLOAD_MAX ? l->in : -1,
                                        .events = POLLIN},
        };
        int r;

        if (poll(fds, ELEMENTSOF(fds), (int) (SHOW_USEC / USEC_PER_MSEC)) < 0)
                return errno == EINTR ? 0 : ctl_fail(EXIT_FAILED, "cannot wait: %s", strerror(errno));
        r = fds[0].revents & (POLLIN | POLLHUP | POLLERR) ? read_socket(l) : 0;
        if (r == 0 && fds[1].revents)
                r = read_input(l);
        if (r == 0)
                r = take_lines(l);
        if (r == 0)
                r = write_output(l);
        show_bar(l);
        return r;
}

static bool is_done(const Lines *l)
{
        return l->ended && buffer_size(&l->input) == 0 && waiting(l) == 0 && buffer_size(&l->output) == 0;
}

static bool is_late(const Lines *l)
{
        uint64_t timeout = l->c->timeout_usec;

        return timeout > 0 && now_usec(CLOCK_BOOTTIME) >= usec_add(l->started, timeout);
}

/* Interrupted, or too late. */
static int give_up(Lines *l)
{
        char text[DURATION_MAX];

        leave_bar(l);
        return ctl_fail(interrupted ? EXIT_INTERRUPTED : EXIT_TIMEOUT,
                        "%s %s: %" PRIu64
                        " lines are accepted and go on being delivered; the next is line %" PRIu64,
                        interrupted ? "not waiting any" : "not done after",
                        interrupted ? "more" : format_duration(text, l->c->timeout_usec), l->accepted,
                        l->behind + 1);
}

static int run(Lines *l)
{
        int r = 0;

        while (r == 0 && !is_done(l) && !interrupted && !is_late(l))
                r = run_once(l);
        if (r == 0 && !is_done(l))
                r = give_up(l);
        if (r == 0 && l->refused > 0)
                r = EXIT_FAILED;
        if (r == 0 && !l->c->no_wait && l->ends[SETTLEMENT_ACKED] < settled(l))
                r = EXIT_NOT_ACKED;
        return r;
}

static int open_stream(Ctl *c, const char *mode, const char *target, int *ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        int r, fd;

        r = bus_new_call(c, &call, "OpenStream");
        if (r >= 0)
                r = send_append_options(c, call, mode, target);
        if (r > 0)
                return r;
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "h", &fd) < 0)
                return ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret < 0 ? ctl_fail(EXIT_FAILED, "cannot use the stream: %s", strerror(errno)) : 0;
}

static int open_input(Lines *l)
{
        const char *file = l->c->file;
        struct stat st;

        l->in = file && !str_equal(file, "-") ? open(file, O_RDONLY | O_CLOEXEC)
                                              : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        if (l->in < 0)
                return ctl_fail(EXIT_FAILED, "cannot open %s: %s", file ?: "standard input",
                                strerror(errno));
        if (fstat(l->in, &st) == 0 && S_ISREG(st.st_mode))
                l->input_size = (uint64_t) st.st_size;
        return 0;
}

int send_lines(Ctl *c, const char *mode, const char *target)
{
        Lines l = {.c = c, .in = -1, .fd = -1, .separator = c->null ? '\0' : '\n'};

        l.several = selector_mode_is_whole(selector_mode_from_string(mode));
        Open *o, *next;
        int r;

        if (c->host || c->machine)
                return ctl_fail(EXIT_USAGE,
                                "--lines works with a client on this host only: its socket cannot cross");
        r = open_input(&l);
        if (r == 0)
                r = open_stream(c, mode, target, &l.fd);
        if (r == 0) {
                const struct sigaction action = {.sa_handler = on_interrupt};

                (void) sigaction(SIGINT, &action, NULL);
                (void) sigaction(SIGTERM, &action, NULL);
                l.started = now_usec(CLOCK_BOOTTIME);
                r = run(&l);
                show_summary(&l);
        }
        HASH_ITER(hh, l.open, o, next) {
                HASH_DELETE(hh, l.open, o);
                free(o);
        }
        buffer_clear(&l.input);
        buffer_clear(&l.output);
        buffer_clear(&l.answers);
        (void) close_clear(&l.in);
        (void) close_clear(&l.fd);
        return r;
}
