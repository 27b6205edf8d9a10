/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames that are cut anywhere, in both directions, at both ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/observation.h"
#include "sim/wire-watch.h"

struct Process {
        int unused;
};
static Process client, receiver;

static void (*tap)(const NetEvent *e, void *userdata);

void net_tap(void (*fn)(const NetEvent *e, void *userdata), void *userdata)
{
        tap = fn;
}

Process *host_enter(void)
{
        return NULL;
}

void host_leave(Process **was)
{
}

static char seen[2000]; /* a word for each observation */
static uint64_t now, since[8];
static unsigned n_since;

void observe(Observation o)
{
        static const char *const words[_OBS_MAX] = {
                        [OBS_OPEN] = "open",
                        [OBS_WRITE] = "write",
                        [OBS_DELIVER] = "read",
                        [OBS_CLOSE] = "close",
                        [OBS_GARBAGE] = "garbage",
        };
        const size_t n = strlen(seen);

        assert_int_equal(o.number, 7);
        if (o.kind == OBS_WRITE && n_since < ELEMENTSOF(since))
                since[n_since++] = o.since;
        (void) snprintf(seen + n, sizeof seen - n, "%s%s", n > 0 ? " " : "", words[o.kind]);
        if (o.frame && o.frame->type == FRAME_MESSAGE) {
                assert_int_equal(o.message, 258);
                assert_int_equal(o.sequence, 5);
                assert_true(o.flagged);
        } else if (o.frame) {
                assert_int_equal(o.frame->type, FRAME_ANSWER);
                assert_int_equal(o.state, OUTCOME_ACKED);
        }
}

static Buffer message, both; /* both: two messages */
static Buffer reply;

static int setup(void **state)
{
        static uint8_t payload[300] = {0, 0, 1, 2};
        const Frame m = {.type = FRAME_MESSAGE,
                        .message = {.sequence = 5,
                                        .attempt = 1,
                                        .flags = 1,
                                        .payload = {payload, sizeof payload}}};
        const Frame a = {.type = FRAME_ANSWER,
                        .answer = {.sequence = 5, .attempt = 1, .outcome = OUTCOME_ACKED}};

        assert_int_equal(frame_encode(&message, &m), 0);
        assert_int_equal(frame_encode(&both, &m), 0);
        assert_int_equal(frame_encode(&both, &m), 0);
        assert_int_equal(frame_encode(&reply, &a), 0);
        return 0;
}

static int teardown(void **state)
{
        buffer_clear(&message);
        buffer_clear(&both);
        buffer_clear(&reply);
        return 0;
}

static void happen(NetEventKind kind, bool by_client, const uint8_t *data, size_t size)
{
        const NetEvent e = {
                        .kind = kind,
                        .at = now,
                        .connection = 7,
                        .from = by_client ? &client : &receiver,
                        .to = by_client ? &receiver : &client,
                        .data = data,
                        .size = size,
        };

        tap(&e, NULL);
}

static void begin(void)
{
        seen[0] = '\0';
        n_since = 0;
        wire_watch_begin();
        happen(NET_OPENED, true, NULL, 0);
}

static void test_whole(void **state)
{
        begin();
        happen(NET_WRITTEN, true, buffer_peek(&both), buffer_size(&both));
        happen(NET_DELIVERED, true, buffer_peek(&both), buffer_size(&both));
        happen(NET_WRITTEN, false, buffer_peek(&reply), buffer_size(&reply));
        happen(NET_DELIVERED, false, buffer_peek(&reply), buffer_size(&reply));
        happen(NET_ENDED, false, NULL, 0);
        happen(NET_ENDED, true, NULL, 0);
        happen(NET_ENDED, true, NULL, 0);
        wire_watch_end();
        assert_string_equal(seen, "open write write read read write read close close");
}

static void test_cut(void **state)
{
        const size_t size = buffer_size(&both);

        for (size_t cut = 1; cut < size; cut++) {
                begin();
                happen(NET_WRITTEN, true, buffer_peek(&both), cut);
                happen(NET_WRITTEN, true, buffer_peek(&both) + cut, size - cut);
                wire_watch_end();
                assert_string_equal(seen, "open write write");
        }
        begin();
        for (size_t i = 0; i < size; i++)
                happen(NET_DELIVERED, true, buffer_peek(&both) + i, 1);
        wire_watch_end();
        assert_string_equal(seen, "open read read");
}

/* A frame that is cut off by the end is no observation; what follows garbage is none, either. */
static void test_garbage(void **state)
{
        begin();
        happen(NET_WRITTEN, true, buffer_peek(&message), buffer_size(&message) - 1);
        happen(NET_ENDED, true, NULL, 0);
        happen(NET_WRITTEN, false, (const uint8_t *) "hello", 5);
        happen(NET_WRITTEN, false, buffer_peek(&reply), buffer_size(&reply));
        wire_watch_end();
        assert_string_equal(seen, "open close garbage");
}

/* When each frame was handed over, though the kernel takes the bytes later, and cut elsewhere. */
static void test_since(void **state)
{
        const size_t size = buffer_size(&message);

        begin();
        now = 10;
        happen(NET_QUEUED, true, NULL, size);
        now = 20;
        happen(NET_QUEUED, true, NULL, size);
        now = 30;
        happen(NET_WRITTEN, true, buffer_peek(&both), size + 1);
        happen(NET_WRITTEN, true, buffer_peek(&both) + size + 1, size - 1);
        now = 40;
        happen(NET_WRITTEN, true, buffer_peek(&message), size);
        wire_watch_end();
        assert_int_equal(n_since, 3);
        assert_int_equal(since[0], 10);
        assert_int_equal(since[1], 20);
        assert_int_equal(since[2], 40);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_whole),
                        cmocka_unit_test(test_cut),
                        cmocka_unit_test(test_garbage),
                        cmocka_unit_test(test_since),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
