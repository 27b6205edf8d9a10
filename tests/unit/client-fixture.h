/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client without its bus, with a fake loop, clock, disk, HTTP client and connections. The test is
 * discovery, each receiver, the disk, and the observer. Include it behind cmocka.h.
 *
 * Receivers are named by one letter; "a" has the id 61000000…, and is in the group "g"; capital letters are
 * in the group "G". */

#include "base/str-util.h"
#include "client/client.h"
#include "client/engine/fanout.h"
#include "client/intake/bulk.h"
#include "client/intake/submit.h"
#include "client/state/message.h"
#include "client/state/peer.h"
#include "fake/connection.h"
#include "fake/http-client.h"
#include "fake/loop.h"
#include "fake/worker.h"
#include "world/disk.h"

extern Client *c;
extern ClientConfig config; /* for the next client_begin(); its strings are not freed */

int client_setup(void **state); /* an empty disk, the clock at its start, a client that runs */
int client_teardown(void **state);
void client_begin(void);
void client_end(void);
void client_crash(void); /* the power goes and comes back: what was not synced is lost; it starts again */

extern bool receivers_are_frozen; /* they do not answer PING, which they do otherwise while time passes */
void run(void);                   /* all that can happen without time passing */
void pass(uint64_t usec);

/* Discovery. `names`: "ab" are receivers a and b. */
sd_id128_t id_of(char name);
Peer *peer_of(char name);
void list(const char *names);
void list_draining(const char *names, const char *draining);
void list_plain(const char *names);
void discovery_fails(void);

/* The other end of the connection of a receiver; NULL: there is none. */
Connection *wire(char name);
void welcome(char name, uint32_t credit); /* accepts the connection and greets; HELLO is checked */
/* The next frame that the client wrote to it, of any type but SETTLED and HELLO; false: there is none. What
 * it points to lives until the next call. */
bool next_frame(char name, Frame *ret);
bool read_frame(char name, Frame *ret);   /* any */
bool next_settled(char name, Frame *ret); /* only SETTLED */
MessageFrame expect_message(char name, const char *payload);
void expect_nothing(char name);
void send_frame(char name, const Frame *f);
void answer(char name, const MessageFrame *m, Outcome outcome, const char *text);
void hang_up(char name, int error);

/* Messages. */
typedef struct Submitted {
        int result; /* 1: not told yet */
        sd_id128_t id;
} Submitted;
extern Submitted last; /* the last submission */
Submission submission(SelectorMode mode, const char *target, const char *payload);
int submit(Submission s); /* and lets it be accepted; what client_submit() returns */
Message *send_to(const char *target, const char *payload); /* mode to; it must be accepted */
Message *send_any(const char *payload);
Message *find(void); /* the last one, in memory; or NULL */
extern Error submit_error;

/* What the observer was told since the last call, "accepted bound sent"; of members too. */
const char *events(void);
#define assert_events(words) assert_string_equal(events(), words)
void assert_state(const Message *m, DeliveryState state);
/* How a message stands on disk; fails when it is not there. */
DeliveryState stored_state(sd_id128_t id);
unsigned n_receiver_changes(void); /* receivers that came or went, since the start */
