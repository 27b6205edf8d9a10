/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frames on the stream between client and receiver, and between a program that sends in bulk and its client;
 * docs/PROTOCOL.md is the contract. Integers are
 * big-endian. A frame is a 12-byte header (4 bytes magic with the version, type, three zero bytes, 4 bytes
 * body length) and a body. The first byte can begin no text, in ASCII or UTF-8, so bare text is told from
 * frames by it. */

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
#define MESSAGE_MEMORY             (1u << 1) /* accepted in memory only: the answer need not wait for the disk */

typedef struct MessageFrame {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt; /* 1 for the first */
        uint32_t flags;
        Bytes attributes; /* ATTRIBUTE_…, (tag u8, length u16, bytes)…; unknown tags are passed over */
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

/* The client says it back: no MESSAGE follows on this connection. */
typedef enum GoodbyeReason {
        GOODBYE_RESTARTING = 1, /* come back at once: no attempt is charged */
        GOODBYE_STOPPING = 2,   /* it leaves */
} GoodbyeReason;

/* Submissions of one stream are numbered from 1 by their order. */
typedef struct SubmitFrame {
        Bytes attributes; /* ATTRIBUTE_… */
        Bytes payload;
} SubmitFrame;

#define ATTRIBUTE_KEY             1u /* key of order; for a stream of mode key */
#define ATTRIBUTE_IDEMPOTENCY_KEY 2u
#define ATTRIBUTE_ACK_TIMEOUT     3u /* of a MESSAGE, u32 ms: "working" is to be said more often than that */

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

typedef struct SettlementFrame {
        uint64_t number;
        uint32_t attempts;
        SettlementEnd end;
        Bytes data; /* acked: the reply; else why */
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
                Bytes text;           /* ERROR; the connection ends behind it */
                SubmitFrame submit;
                AcceptedFrame accepted;
                RefusedFrame refused;
                SettlementFrame settlement;
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

/* Steps through attributes: the next one's value, its tag in *ret_tag; false behind the last, and where they
 * are malformed (then *attributes is left non-empty). */
bool frame_next_attribute(Bytes *attributes, uint8_t *ret_tag, Bytes *ret_value);

/* One attribute that is a number: its value, and how it is written. */
#define ATTRIBUTE_U32_SIZE 7u
bool frame_attribute_u32(Bytes value, uint32_t *ret);
Bytes frame_attribute_put_u32(uint8_t buffer[static ATTRIBUTE_U32_SIZE], uint8_t tag, uint32_t number);

SequenceRange settled_frame_range(const SettledFrame *f, size_t i); /* i < n_ranges */
