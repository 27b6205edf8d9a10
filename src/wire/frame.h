/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frames between client and receiver, and between a program that submits in bulk and its client;
 * docs/PROTOCOL.md is the contract. Integers are big-endian. A frame is a 12-byte header (4 bytes magic with
 * the version, type, three zero bytes, 4 bytes body length) and a body. No text begins with the first byte
 * of the magic, so that byte tells frames from plain text. */

#include <sys/types.h>
#include <systemd/sd-id128.h>

#include "base/bytes.h"
#include "base/error.h"
#include "model/limits.h"
#include "model/outcome.h"
#include "model/sequence-set.h"

#define FRAME_MAGIC_FIRST 0xAC
#define FRAME_MAGIC                                                                                         \
        {                                                                                                   \
                FRAME_MAGIC_FIRST, 'A', 'G', 1                                                              \
        }
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
        FRAME_GOODBYE = 0x86, /* both */
        FRAME_ERROR = 0x87,   /* both */

        FRAME_SUBMIT = 0x06, /* program to client */

        FRAME_ACCEPTED = 0x88, /* client to program; CREDIT and ERROR too */
        FRAME_REFUSED = 0x89,
        FRAME_SETTLEMENT = 0x8A,
} FrameType;

typedef struct HelloFrame {
        sd_id128_t receiver; /* the receiver that is expected */
        sd_id128_t sender;   /* the client's identity, shown to handlers */
        Bytes name;          /* the client's host name; at most 255 bytes */
} HelloFrame;

typedef struct WelcomeFrame {
        sd_id128_t receiver;
        sd_id128_t instance;
        uint32_t credit;      /* as in CREDIT */
        uint32_t window;      /* sequences that a stream may have open above its low mark */
        uint32_t max_payload; /* bytes */
        Bytes name;
} WelcomeFrame;

#define MESSAGE_POSSIBLE_DUPLICATE (1u << 0) /* this send may not be the first on the wire */
#define MESSAGE_TRANSIENT          (1u << 1) /* accepted in memory only: the answer need not wait for the disk */
#define MESSAGE_BULK               (1u << 2) /* one of many: what goes well is not logged */

typedef struct MessageFrame {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt; /* 1 for the first */
        uint32_t flags;
        Bytes attributes; /* ATTRIBUTE_…: (tag u8, length u16, bytes)…; unknown tags are skipped */
        Bytes payload;
} MessageFrame;

/* Part of a bulk, and nothing went wrong so far: it is not logged. */
static inline bool message_is_routine(uint32_t flags, uint32_t attempt)
{
        return (flags & MESSAGE_BULK) && !(flags & MESSAGE_POSSIBLE_DUPLICATE) && attempt == 1;
}

#define SETTLED_CLOSED (1u << 0) /* the stream carries nothing more: forget it and answer PRUNED */

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

#define ANSWER_CUT (1u << 0) /* the handler wrote a longer reply */

typedef struct AnswerFrame {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt;
        Outcome outcome;
        uint32_t delay_ms; /* failed, busy: do not retry earlier */
        Bytes data;        /* reply, or the reason */
        uint32_t flags;    /* acked: ANSWER_… */
} AnswerFrame;

/* The client answers with GOODBYE; after that it sends no MESSAGE on this connection. */
typedef enum GoodbyeReason {
        GOODBYE_RESTARTING = 1, /* reconnect at once; no attempt is counted */
        GOODBYE_STOPPING = 2,   /* the sender of GOODBYE leaves */
} GoodbyeReason;

/* The submissions on one socket are numbered from 1 in their order. */
typedef struct SubmitFrame {
        Bytes attributes; /* ATTRIBUTE_… */
        Bytes payload;
} SubmitFrame;

#define ATTRIBUTE_KEY             1u /* ordering key; for the mode "key" */
#define ATTRIBUTE_IDEMPOTENCY_KEY 2u
#define ATTRIBUTE_ACK_TIMEOUT     3u /* of a MESSAGE, u32 ms: "working" must come more often */
#define ATTRIBUTE_PRIORITY        4u /* of a MESSAGE, u32; without it PRIORITY_DEFAULT */

typedef struct AcceptedFrame {
        uint64_t first;
        Bytes ids; /* 16 bytes each, of the submissions from `first` on */
} AcceptedFrame;

typedef struct RefusedFrame {
        uint64_t number;
        Bytes reason; /* the last part of an error's name on D-Bus, such as OutboxFull */
        Bytes text;
} RefusedFrame;

typedef enum SettlementEnd {
        SETTLEMENT_ACKED = 1,
        SETTLEMENT_REJECTED,
        SETTLEMENT_CANCELLED,
        SETTLEMENT_DEAD,
        _SETTLEMENT_MAX,
} SettlementEnd;

/* On the wire, instead of SETTLEMENT_ACKED. */
#define SETTLEMENT_ACKED_CUT 5u

typedef struct SettlementFrame {
        uint64_t number;
        uint32_t attempts;
        SettlementEnd end;
        Bytes data; /* acked: the reply; otherwise the reason */
        bool cut;   /* acked, and the handler wrote a longer reply; for programs that ask for it */
} SettlementFrame;

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
                Bytes text;           /* ERROR; the connection ends after it */
                SubmitFrame submit;
                AcceptedFrame accepted;
                RefusedFrame refused;
                SettlementFrame settlement;
        };
} Frame;

/* Decodes the frame at the front of `data`. Returns its size, and the frame in *ret, whose Bytes point into
 * `data`. 0: more bytes are needed; the caller tries again when it has *ret_need of them (`ret_need` may be
 * NULL). -EBADMSG, with the reason: this is no frame. -EMSGSIZE: the body is longer than `body_max`. A frame
 * of an unknown type is an error, because the version fixes the set of types. */
ssize_t frame_decode(const uint8_t *data, size_t size, size_t body_max, Frame *ret, size_t *ret_need,
                Error *error);

/* Appends the encoded frame. 0, -ENOMEM, or -EMSGSIZE when a part is over its limit. SETTLED is encoded from
 * a set by frame_encode_settled() only. */
int frame_encode(Buffer *out, const Frame *f) _must_use_;
int frame_encode_settled(Buffer *out, sd_id128_t stream, uint32_t flags, const SequenceSet *set) _must_use_;

/* Takes the next attribute off the front: its tag and value. False after the last one, and if the rest is
 * malformed (*attributes is then not empty). */
bool frame_next_attribute(Bytes *attributes, uint8_t *ret_tag, Bytes *ret_value);

/* An attribute whose value is a number. */
#define ATTRIBUTE_U32_SIZE 7u
bool frame_attribute_u32(Bytes value, uint32_t *ret);
/* The first attribute with this tag that is a u32; false: there is none. */
bool frame_find_u32(Bytes attributes, uint8_t tag, uint32_t *ret);
Bytes frame_attribute_put_u32(uint8_t buffer[static ATTRIBUTE_U32_SIZE], uint8_t tag, uint32_t number);

SequenceRange settled_frame_range(const SettledFrame *f, size_t i); /* i < n_ranges */
