/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frames on the stream between client and receiver; docs/PROTOCOL.md is the contract. Integers are
 * big-endian. A frame is a 12-byte header (4 bytes magic with the version, type, three zero bytes, 4 bytes
 * body length) and a body. The first byte can begin no text, in ASCII or UTF-8, so bare text is told from
 * frames by it. */

#include <sys/types.h>
#include <systemd/sd-id128.h>

#include "base/buffer.h"
#include "base/error.h"
#include "model/limits.h"
#include "model/outcome.h"
#include "model/sequence-set.h"

#define FRAME_MAGIC_FIRST 0xAC
#define FRAME_HEADER_SIZE 12u
#define FRAME_BODY_MAX    (PAYLOAD_MAX + ATTRIBUTES_MAX + 128u)

typedef enum FrameType {
        FRAME_HELLO = 0x01, /* client to receiver */
        FRAME_MESSAGE = 0x02,
        FRAME_SETTLED = 0x03,
        FRAME_CANCEL = 0x04,
        FRAME_PING = 0x05,

        FRAME_WELCOME = 0x81, /* receiver to client */
        FRAME_ANSWER = 0x82,
        FRAME_CREDIT = 0x83,
        FRAME_PRUNED = 0x84,
        FRAME_PONG = 0x85,
        FRAME_GOODBYE = 0x86,
        FRAME_ERROR = 0x87,
} FrameType;

typedef struct Bytes {
        const uint8_t *data;
        size_t size;
} Bytes;

typedef struct HelloFrame {
        sd_id128_t receiver; /* who is expected there */
        sd_id128_t sender;   /* the client's identity, shown to handlers */
        Bytes name;          /* the client's host name; at most 255 bytes */
} HelloFrame;

typedef struct WelcomeFrame {
        sd_id128_t receiver;
        sd_id128_t instance;
        uint32_t credit;      /* as in CREDIT */
        uint32_t window;      /* sequences a stream may have open above its low mark */
        uint32_t max_payload; /* bytes */
        Bytes name;
} WelcomeFrame;

#define MESSAGE_POSSIBLE_DUPLICATE (1u << 0) /* this send may not be the first on the wire */

typedef struct MessageFrame {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt; /* 1 for the first */
        uint32_t flags;
        Bytes attributes; /* (tag u8, length u16, bytes)…; unknown tags are passed over */
        Bytes payload;
} MessageFrame;

#define SETTLED_CLOSED                                                                                      \
        (1u << 0) /* nothing will come on this stream any more: forget it and answer PRUNED                 \
                   */

typedef struct SettledFrame {
        sd_id128_t stream;
        uint32_t flags;
        uint64_t low;
        Bytes ranges; /* raw; settled_frame_range() reads one */
        size_t n_ranges;
} SettledFrame;

typedef struct CancelFrame {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
} CancelFrame;

typedef struct AnswerFrame {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt;
        Outcome outcome;
        uint32_t delay_ms; /* failed, busy: do not come back before */
        Bytes data;        /* reply, or why */
} AnswerFrame;

typedef enum GoodbyeReason {
        GOODBYE_RESTARTING = 1, /* come back at once: no attempt is charged */
        GOODBYE_STOPPING = 2,   /* it leaves */
} GoodbyeReason;

typedef struct Frame {
        FrameType type;
        union {
                HelloFrame hello;
                WelcomeFrame welcome;
                MessageFrame message;
                SettledFrame settled;
                CancelFrame cancel;
                AnswerFrame answer;
                uint64_t token;    /* PING, PONG */
                uint32_t credit;   /* CREDIT: messages that may be unanswered at once on this connection */
                sd_id128_t stream; /* PRUNED */
                GoodbyeReason reason; /* GOODBYE */
                Bytes text;           /* ERROR; the connection ends behind it */
        };
} Frame;

/* Looks at the bytes in front of `data`. Returns the size of a whole frame, decoded to *ret, whose Bytes
 * point into `data`; 0 when more bytes are needed (*ret_need, may be NULL, is the size from which on it pays
 * to look again); -EBADMSG with the reason for anything that is no frame, -EMSGSIZE for a body longer than
 * `body_max`. Frames of an unknown type are an error: the version says what may come. */
ssize_t frame_decode(const uint8_t *data, size_t size, size_t body_max, Frame *ret, size_t *ret_need,
                Error *error);

/* Appends the encoded frame. 0, -ENOMEM, or -EMSGSIZE when a part is over its limit. SETTLED is encoded from
 * a set by frame_encode_settled() only. */
int frame_encode(Buffer *out, const Frame *f) _must_use_;
int frame_encode_settled(Buffer *out, sd_id128_t stream, uint32_t flags, const SequenceSet *set) _must_use_;

SequenceRange settled_frame_range(const SettledFrame *f, size_t i); /* i < n_ranges */
