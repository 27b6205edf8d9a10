/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/options.h"
#include "ctl/print.h"
#include "ctl/tally.h"
#include "model/selector.h"
#include "wire/frame.h"

#define CHUNK      65536u
#define OUTPUT_MAX ((size_t) 1 << 20) /* bytes of output that are not on the socket yet */
#define WAKE_UP_MS 200                /* for the bar and --timeout */

/* A line that is accepted but not settled. Only with --json, which prints its id at the end. */
typedef struct Open {
        uint64_t number;
        sd_id128_t id;
        UT_hash_handle hh;
} Open;

typedef struct Lines {
        Ctl *c;
        Tally tally;
        int in, stream; /* descriptors */
        Buffer input, output, answers;
        char separator;
        bool input_ended;
        uint32_t credit;       /* the number of lines that may be open */
        uint64_t last_decided; /* this line and all before it are accepted or refused; refusals of later
                                  lines may have come early */
        Open *open;
} Lines;

/* The only state outside of Lines: a signal handler reaches nothing else. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
        interrupted = 1;
}

/* Answers of the client. */

static int remember_open(Lines *l, uint64_t number, sd_id128_t id)
{
        Open *o = calloc(1, sizeof *o);

        if (!o)
                return ctl_fail(EXIT_FAILED, "out of memory");
        o->number = number;
        o->id = id;
        HASH_ADD(hh, l->open, number, sizeof o->number, o);
        return 0;
}

static void forget_open(Lines *l, Open *o)
{
        HASH_DELETE(hh, l->open, o);
        free(o);
}

static int on_accepted(Lines *l, const AcceptedFrame *f)
{
        size_t n = f->ids.size / sizeof(sd_id128_t);
        sd_id128_t id;
        int r = 0;

        l->last_decided = MAX(l->last_decided, f->first + n - 1);
        for (size_t i = 0; i < n && r == 0; i++) {
                memcpy(&id, f->ids.data + i * sizeof id, sizeof id);
                tally_accepted(&l->tally, f->first + i, id);
                if (l->c->json != JSON_OFF && !l->c->no_wait)
                        r = remember_open(l, f->first + i, id);
        }
        return r;
}

static int on_refused(Lines *l, const RefusedFrame *f)
{
        if (f->number == l->last_decided + 1)
                l->last_decided++;
        tally_refused(&l->tally, f->number, f->text.size > 0 ? f->text : f->reason);
        return 0;
}

static int on_settlement(Lines *l, const SettlementFrame *f)
{
        Open *o = NULL;

        HASH_FIND(hh, l->open, &f->number, sizeof f->number, o);
        tally_settlement(&l->tally, f, o ? &o->id : NULL);
        if (o)
                forget_open(l, o);
        return 0;
}

/* Returns 0 or an exit code. Ignores frames of other types. */
static int on_frame(Lines *l, const Frame *f)
{
        switch (f->type) {
        case FRAME_CREDIT:
                l->credit = f->credit;
                return 0;
        case FRAME_ACCEPTED:
                return on_accepted(l, &f->accepted);
        case FRAME_REFUSED:
                return on_refused(l, &f->refused);
        case FRAME_SETTLEMENT:
                return on_settlement(l, &f->settlement);
        case FRAME_ERROR:
                return ctl_fail(EXIT_FAILED, "the client closed the stream: %.*s", (int) f->text.size,
                                (const char *) f->text.data);
        default:
                return 0;
        }
}

static int take_answers(Lines *l)
{
        Error error = {};
        ssize_t n;
        Frame f;
        int r = 0;

        while (r == 0 && (n = frame_decode(buffer_peek(&l->answers), buffer_size(&l->answers),
                                          FRAME_BODY_MAX, &f, NULL, &error)) > 0) {
                r = on_frame(l, &f);
                buffer_consume(&l->answers, (size_t) n);
        }
        if (r == 0 && n < 0)
                r = ctl_fail(EXIT_FAILED, "the client's answer cannot be read: %s", error.text);
        return r;
}

/* The input. */

/* True if another line may be submitted. */
static bool has_room(const Lines *l)
{
        return tally_waiting(&l->tally) < l->credit && buffer_size(&l->output) < OUTPUT_MAX;
}

static int submit(Lines *l, const uint8_t *data, size_t size)
{
        l->tally.submitted++;
        return frame_encode(&l->output, &(Frame){.type = FRAME_SUBMIT, .submit.payload = {data, size}});
}

/* Submits complete lines of the input, as long as there is room. */
static int take_lines(Lines *l)
{
        while (has_room(l)) {
                const uint8_t *data = buffer_peek(&l->input);
                size_t size = buffer_size(&l->input);
                const uint8_t *end = size > 0 ? memchr(data, l->separator, size) : NULL;

                /* No frame can carry the line, and a part of the line would be a different message. */
                if (!end && size > PAYLOAD_MAX)
                        return ctl_fail(EXIT_FAILED,
                                        "line %" PRIu64 " is longer than %u bytes, the most "
                                        "that one message can have",
                                        l->tally.submitted + 1, PAYLOAD_MAX);
                if (!end && (!l->input_ended || size == 0))
                        return 0;
                size_t n = end ? (size_t) (end - data) : size;
                if (submit(l, data, n) < 0)
                        return ctl_fail(EXIT_FAILED, "cannot submit line %" PRIu64, l->tally.submitted);
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
        l->input_ended = n == 0;
        l->tally.input_read += (uint64_t) n;
        buffer_added(&l->input, (size_t) n);
        return 0;
}

/* The socket. */

static int lost(Lines *l)
{
        tally_hide_bar(&l->tally);
        return ctl_fail(EXIT_NO_SERVICE,
                        "the client has gone: %" PRIu64
                        " lines were accepted (they are delivered when it is back); "
                        "go on from line %" PRIu64,
                        l->tally.accepted, l->last_decided + 1);
}

static int write_output(Lines *l)
{
        while (buffer_size(&l->output) > 0) {
                ssize_t n = send(l->stream, buffer_peek(&l->output), buffer_size(&l->output),
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
        ssize_t n = room ? recv(l->stream, room, CHUNK, MSG_DONTWAIT) : -1;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return lost(l);
        buffer_added(&l->answers, (size_t) n);
        return take_answers(l);
}

static int run_once(Lines *l)
{
        bool more = !l->input_ended && has_room(l) && buffer_size(&l->input) <= PAYLOAD_MAX;
        struct pollfd fds[] = {
                        {.fd = l->stream, .events = POLLIN},
                        {.fd = more ? l->in : -1, .events = POLLIN},
        };
        int r;

        if (buffer_size(&l->output) > 0)
                fds[0].events |= POLLOUT;
        if (poll(fds, ELEMENTSOF(fds), WAKE_UP_MS) < 0)
                return errno == EINTR ? 0 : ctl_fail(EXIT_FAILED, "cannot wait: %s", strerror(errno));
        r = fds[0].revents & (POLLIN | POLLHUP | POLLERR) ? read_socket(l) : 0;
        if (r == 0 && fds[1].revents)
                r = read_input(l);
        if (r == 0)
                r = take_lines(l);
        if (r == 0)
                r = write_output(l);
        tally_show_bar(&l->tally, now_usec(CLOCK_BOOTTIME));
        return r;
}

static bool is_done(const Lines *l)
{
        return l->input_ended && buffer_size(&l->input) == 0 && tally_waiting(&l->tally) == 0 &&
               buffer_size(&l->output) == 0;
}

static bool is_late(const Lines *l)
{
        uint64_t timeout = l->c->timeout_usec;

        return timeout > 0 && now_usec(CLOCK_BOOTTIME) >= usec_add(l->tally.started_usec, timeout);
}

/* Prints what was reached before the interrupt or the timeout. */
static int give_up(Lines *l)
{
        char text[DURATION_MAX];

        tally_hide_bar(&l->tally);
        return ctl_fail(interrupted ? EXIT_INTERRUPTED : EXIT_TIMEOUT,
                        "%s%s: %" PRIu64
                        " lines are accepted and will be delivered; the next is line %" PRIu64,
                        interrupted ? "interrupted" : "not done after ",
                        interrupted ? "" : format_duration(text, l->c->timeout_usec), l->tally.accepted,
                        l->last_decided + 1);
}

static int run(Lines *l)
{
        int r = 0;

        while (r == 0 && !is_done(l) && !interrupted && !is_late(l))
                r = run_once(l);
        if (r == 0 && !is_done(l))
                r = give_up(l);
        if (r == 0 && l->tally.refused > 0)
                r = EXIT_FAILED;
        if (r == 0 && !l->c->no_wait && l->tally.ends[SETTLEMENT_ACKED] < tally_settled(&l->tally))
                r = EXIT_NOT_ACKED;
        return r;
}

/* The start. */

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
                l->tally.input_size = (uint64_t) st.st_size;
        return 0;
}

static int open_stream(Lines *l, const char *mode, const char *target)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        int r, fd;

        r = bus_new_call(l->c, &call, "OpenStream");
        if (r >= 0)
                r = options_append(l->c, call, mode, target);
        if (r > 0)
                return r;
        r = bus_call(l->c, r, call, &answer);
        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "h", &fd) < 0)
                return bus_bad_answer();
        l->stream = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return l->stream < 0 ? ctl_fail(EXIT_FAILED, "cannot use the stream: %s", strerror(errno)) : 0;
}

/* SIGINT and SIGTERM end the loop. Without SA_RESTART, because they must also end a write to a pipe that
 * nobody reads. The handler stays: ackctl ends after this. */
static void catch_signals(void)
{
        const struct sigaction action = {.sa_handler = on_interrupt};
        sigset_t set;

        interrupted = 0;
        (void) sigaction(SIGINT, &action, NULL);
        (void) sigaction(SIGTERM, &action, NULL);
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGTERM);
        (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void clear(Lines *l)
{
        Open *o, *next;

        HASH_ITER(hh, l->open, o, next)
                forget_open(l, o);
        buffer_clear(&l->input);
        buffer_clear(&l->output);
        buffer_clear(&l->answers);
        (void) close_clear(&l->in);
        (void) close_clear(&l->stream);
}

int lines_send(Ctl *c, const char *mode, const char *target)
{
        Lines l = {
                        .c = c,
                        .tally = {.c = c,
                                        .several = selector_mode_is_fanout(selector_mode_from_string(mode))},
                        .in = -1,
                        .stream = -1,
                        .separator = c->null ? '\0' : '\n',
        };
        int r;

        if (c->host || c->machine)
                return ctl_fail(EXIT_USAGE,
                                "--lines works with a client on this host only: a socket cannot be passed "
                                "to another");
        r = open_input(&l);
        if (r == 0)
                r = open_stream(&l, mode, target);
        if (r == 0) {
                catch_signals();
                l.tally.started_usec = now_usec(CLOCK_BOOTTIME);
                r = run(&l);
                tally_show_totals(&l.tally, now_usec(CLOCK_BOOTTIME));
        }
        clear(&l);
        return r;
}
