/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A whole receiver in the world of world/world.h, with a warden that forks nothing. The test is discovery,
 * and holds the other ends of the connections. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "receiver/receiver.h"
#include "world/world.h"

#define RECEIVER_ADDRESS "unix:/r.sock"
#define RECEIVER_TEXT_ID "11111111-1111-4111-8111-111111111111"

typedef struct Fixture {
        ReceiverConfig config;
        Receiver *receiver;
        Error error;
} Fixture;

/* For cmocka. The configuration is that of a receiver without a command; nothing is started. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_set_command(Fixture *f, const char *command); /* NULL: none */
int fixture_new(Fixture *f);                               /* receiver_new(); it has begun to register */
void fixture_register(const char *id, double lease);       /* discovery answers */
void fixture_start(Fixture *f);                            /* both */
void fixture_end(Fixture *f);                              /* frees the receiver; the state stays */
void fixture_restart(Fixture *f);                          /* ends it, and starts another that registers */
void fixture_child_ends(int status, const char *output);   /* the oldest handler */

/* Discovery. */
TestRequest *asked(const char *method, const char *path); /* fails when that is not what it was asked */
void refuse(TestRequest *q, int status, const char *code, int heard_ms); /* heard_ms < 0: left out */

/* The warden. */
unsigned warden_count(void); /* handlers that run, as it knows */
void warden_die(void);

/* A sender. What a frame points to is valid until the next one is read. */
extern const sd_id128_t stream_a, stream_b;
sd_id128_t message_id(uint64_t sequence);

void send_frame(TestSocket *s, const Frame *f);
void send_settled(TestSocket *s, sd_id128_t stream, uint64_t low, uint32_t flags);
MessageFrame message(uint64_t sequence, const char *payload); /* of stream_a, attempt 1 */
void send_message(TestSocket *s, MessageFrame m);
void send_cancel(TestSocket *s, uint64_t sequence);
TestSocket *sender_open(void); /* greeted */

Frame next_frame(TestSocket *s); /* but CREDIT; fails when there is none */
Frame any_frame(TestSocket *s);
void expect_nothing(TestSocket *s); /* but CREDIT */
void expect_answer(TestSocket *s, uint64_t sequence, Outcome outcome, const char *data);
void expect_error(TestSocket *s, const char *part); /* the connection is closed behind it */
bool bytes_equal(Bytes b, const char *text);
