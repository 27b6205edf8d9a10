/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the judge share. Nothing is freed before the end of a run, so pointers stay valid.
 *
 * What the judge takes as facts about a message:
 * - what callers were told (accepted, the end, events),
 * - what was on the wire (written by the sender, read by the receiver),
 * - what handlers did,
 * - what a client has after a start.
 *
 * Steps that take away the ground of a promise leave a mark: `marked` is the number of the observation of
 * the last such step. What a process knew before that step is excepted from the rules; what came later is
 * not. */

#include "base/hash-index.h"
#include "base/time-util.h"
#include "model/limits.h"
#include "sim/judge-rules.h"
#include "sim/judge.h"

#define J_PROCESSES_MAX 32u

typedef struct JMessage JMessage;
typedef struct JDelivery JDelivery;
typedef struct JReceiver JReceiver;
typedef struct JConnection JConnection;
typedef struct JStream JStream;
typedef struct JRun JRun;
typedef struct JKey JKey;

#define PRIORITIES 10u
#define GROUPS     3u

/* Messages of one kind that were not sent yet, in order of acceptance. */
typedef struct JWaiting {
        JMessage *first;
} JWaiting;

typedef enum JRole {
        ROLE_DISCOVERY,
        ROLE_CLIENT,
        ROLE_RECEIVER,
        ROLE_OTHER, /* a copy of one of the others */
} JRole;

/* One process of the group, over all of its starts. */
typedef struct JProcess {
        Process *process;
        JRole role;
        unsigned number;  /* of the client or receiver in the plan */
        uint32_t starts;  /* 0: never */
        uint32_t loaded;  /* of a client: the start of which it is known what was in the outbox */
        uint32_t serving; /* the last start in which it ran a handler or greeted a client */
        uint64_t started, started_at; /* number of the observation, time */
        bool up;
        uint64_t down_at;                 /* time of its last end */
        uint64_t frozen_at, frozen_until; /* times; 0: never */
        uint64_t marked;           /* what it knew before is excepted: number of the observation; 0: never */
        uint32_t marked_start;     /* the start that ended then */
        struct JProcess *original; /* of a copy */
        uint64_t damaged;          /* a bit of its files flipped: time; 0: never */
        bool reported;             /* it has said since then that something is lost */
        bool restored;             /* not only damaged: it may have forgotten something without a sign */
        bool cut_replies;          /* it has logged that a reply is cut because it has no memory */
        unsigned silent;           /* it says that this receiver (from 1) is silent, and parts from it */
        bool reloaded;             /* its configuration may differ from the plan's */
        bool failed;               /* its last start ended by itself, with an error */
        bool died;                 /* its last end was a kill or an error */
        uint64_t replaced;         /* a receiver lost its id: number of the observation; 0: never */
        JReceiver *identity;       /* of a receiver: its present id */
        uint64_t disturbed_until;  /* by steps; time */
        uint64_t news_until;       /* what is listed may be news to clients: time */
        JConnection *last_connection[J_PROCESSES_MAX]; /* of a client: to each receiver */

        /* Of a receiver */
        uint64_t listed_at;     /* by discovery: time; 0: it is not, or the judge is not sure */
        uint64_t terminated_at; /* it was told to stop: time; 0: it was not */
        uint64_t draining_since, draining_at; /* it has said so: number of the observation, time */
        uint64_t drain_began, to_drain_until; /* by the newest steps; times */
        uint64_t resume_at;                   /* somebody asks for it then, for the last time */
        unsigned n_running;                   /* handlers */
        uint32_t alone_start;   /* the start that was killed while only one handler can have run */
        uint64_t killed_at;     /* time */
        JRun *charged;          /* the newest */
        const JRun *alone;      /* the newest that must run alone */
        bool no_runs;           /* it has said that it cannot note its runs */
        uint64_t lost_power_at; /* time; 0: never */
        uint64_t busy_since;    /* all handlers run: time; 0: not all do */
        uint32_t granted;       /* credit, on all connections */
        JRun *killed;           /* by a stop, before its time */
        JDelivery *asked;       /* messages that it has read and not answered */
        uint64_t unreadable;    /* it has said that it cannot read an answer from its disk:
                                   number of the observation */

        sd_id128_t sender; /* of a client: its id; null: not known */
        uint64_t n_ids, n_submitted;
        JMessage *on_disk, *in_memory; /* of a client: messages that it must have */
        JWaiting waiting_to[RECEIVERS_MAX][PRIORITIES], waiting_any[GROUPS][PRIORITIES];
        uint64_t minute, n_lines, n_events; /* log-is-bounded */
} JProcess;

/* One of the plan's numbers of messages. Several submissions may carry it. */
typedef struct JPlanned {
        const Step *step;
        uint32_t offset; /* in a bulk */
        uint32_t n_submitted, n_refused, n_refused_by_disk, n_ids;
        bool unerased;                /* refused while the disk did nothing right, see check_refused() */
        uint64_t submitted, first_at; /* the first submission: number of the observation, time */
        uint64_t last_submitted;      /* the last one */
        uint64_t last_at;             /* its time */
} JPlanned;

struct JMessage {
        IndexItem by_id;
        sd_id128_t id;
        const JPlanned *planned; /* NULL: its number is not known */
        JProcess *client;
        /* Numbers of observations; 0: not seen. */
        uint64_t known, submitted, accepted;
        uint64_t ended;          /* the end was told as durable */
        uint64_t revived_number; /* somebody retried it */
        uint64_t reported;       /* the client told its observer that it is accepted; quiet messages: 0 */
        uint64_t accepted_at;
        uint32_t known_start;  /* of its client */
        uint32_t loaded_start; /* it was on the disk at this start of its client */
        uint32_t end_start;    /* the end was told in this start */
        uint8_t end;           /* DeliveryState that callers were told; 0: it is open */
        bool end_durable;      /* and that this is on disk */
        bool transient, fanout;
        bool on_wire, cancel_asked, purge_asked, revived;
        bool lost;      /* with the memory of its client */
        bool forgotten; /* the client does not have it any more, which is right */
        bool was_bound; /* at a start of its client */
        bool moved;     /* its binding was given up, and it has not been sent since */
        bool kept, kept_in_memory, counted, key_listed;
        bool unrevived_durable;      /* before somebody wanted to retry it: end_durable */
        uint8_t unrevived;           /* the same: end; 0: it is revived */
        uint8_t n_revives, n_purges; /* requests without an answer yet */
        uint16_t past_ends;          /* bits: ends before it was retried */
        uint32_t attempt;            /* the highest on the wire */
        uint32_t over;               /* see attempts_over() */
        uint32_t n_runs, n_members_acked, n_members_failed, n_overtaken, n_less_urgent;
        uint64_t minute;
        uint32_t n_sends; /* in that minute */
        JDelivery *deliveries;
        JMessage *kept_prev, *kept_next; /* what its client must have */
        JMessage *open_prev, *open_next; /* what must end */
        JWaiting *waits_in;
        JMessage *waits_prev, *waits_next;
        JKey *key;
        JMessage *key_next;
};

/* A message at one receiver id. */
struct JDelivery {
        JDelivery *next; /* of the message */
        JMessage *message;
        JReceiver *receiver;
        JStream *stream; /* the newest binding */
        uint64_t sequence;
        bool given_up; /* the client has given it up */

        /* MESSAGE */
        uint64_t first_written, written; /* numbers of observations */
        uint64_t first_written_at, last_written_at;
        uint64_t handed_at; /* when the client handed the last one to its connection */
        uint64_t sent_at;   /* when the client began to wait for its answer, if it has told; 0: unknown */
        bool had_no_ack;    /* once: so it was sent, although the judge may not have seen that */
        uint32_t over;      /* see attempts_over() */
        uint32_t attempt, written_start; /* of the last one */
        uint32_t n_sends;                /* that may have started it */
        uint32_t n_sends_before;         /* of these, those before somebody retried the message */
        JConnection *sent_on;

        /* ANSWER, as written: the final outcome under the newest binding */
        uint8_t answered;       /* 0: none */
        uint16_t ever_answered; /* bits, under any binding */
        uint32_t answered_start, failed_attempt;
        uint64_t answered_at, answered_number, answered_sequence, failed_number;
        const JStream *answered_stream;

        /* ANSWER, as read by the client */
        uint8_t told; /* final outcome (settled and conflict too) under the newest binding; 0: none */
        uint32_t told_start;
        bool ending;           /* the client asks only how it ended; its frame may still lie in the output */
        bool failed_told;      /* the last attempt failed */
        bool told_before;      /* it was told, but the client has lost that in a crash */
        uint64_t told_busy_at; /* to its only send: time; 0: it was not, or has been sent since */

        bool cancel_read;
        uint64_t asked_at; /* MESSAGE was read first, since it was answered last; 0: not */
        uint32_t n_done, n_rejected, n_failed; /* runs */
        JRun *run;                             /* the newest */

        JConnection *flight; /* on which it is unanswered; oldest first */
        uint64_t flight_at;
        JDelivery *flight_prev, *flight_next;

        unsigned n_failed_in_row, n_pauses;
        uint64_t failed_at, pauses; /* time; how long together */

        uint64_t first_read;   /* number of the observation */
        JConnection *asked_on; /* on which its receiver has read it last, and not answered it */
        uint64_t asked;        /* number of the observation */
        uint64_t asked_since;  /* time of the first reading there */
        bool died_with;        /* its receiver was killed while it had it */
        JDelivery *asked_prev, *asked_next;
};

struct JRun {
        IndexItem by_number;
        uint64_t number;
        JDelivery *delivery;
        JProcess *process;
        const JStream *stream;
        uint64_t sequence;
        uint32_t start, attempt;
        bool flagged, ended;
        bool charged;            /* its receiver was killed while it ran alone */
        uint64_t killed_with_at; /* its receiver was killed while it ran: time; 0: it was not */
        bool repeated;           /* a later handler has ended, without a run */
        RunEnd end;
        size_t reply_size; /* bytes that it has written */
        uint64_t began, began_at, effect, effect_at;
        JRun *previous; /* of the same delivery */
};

/* A receiver's id. */
struct JReceiver {
        IndexItem by_id;
        sd_id128_t id;
        JProcess *process;   /* that had it last */
        bool told_by_copy;   /* a copy of a client has announced something to it */
        uint64_t n_recorded; /* final outcomes that it has answered and that are not settled */
        uint64_t n_known;    /* sequences that it has read and that it has not read to be settled */
        JStream *streams;    /* to it */
};

#define ENTRY_WRITTEN      1u  /* MESSAGE or CANCEL was written */
#define ENTRY_READ         2u  /* and read */
#define ENTRY_SETTLED      4u  /* SETTLED that covers it was written */
#define ENTRY_SETTLED_READ 8u  /* and read */
#define ENTRY_RECORDED     16u /* counts in n_recorded of its receiver */
#define ENTRY_KNOWN        32u /* counts in n_known of its receiver */

typedef struct JEntry {
        JMessage *message;   /* NULL: not known */
        uint64_t written;    /* number of the first observation of a frame about it */
        uint32_t read_start; /* of the receiver that read it when it was not settled */
        uint8_t flags;
        uint8_t answered; /* the final outcome, as written; 0: none */
        uint32_t answered_start;
        uint64_t answered_number; /* of the observation */
} JEntry;

struct JStream {
        IndexItem by_id;
        sd_id128_t id;
        JProcess *client;
        JReceiver *receiver;
        uint32_t first_start;
        uint64_t known;  /* number of the observation */
        JEntry *entries; /* of the sequences from 1 on */
        uint64_t n_entries, allocated;
        uint64_t n_known;       /* of its sequences, as in JReceiver */
        uint64_t low, low_read; /* announced: written, read */
        bool settled_by_copy;   /* a copy of its client has announced something of it, or closed it */
        bool closed, closed_read, used, pruned; /* used: its receiver has read something of it */
        JStream *next;                          /* to the same receiver */
        uint64_t settled_read;                  /* number of the last observation */
        uint64_t announced_on, announced_low;   /* the newest connection, and the low mark there */
};

struct JConnection {
        IndexItem by_number;
        uint64_t number;
        JProcess *from, *to; /* client, receiver */
        uint32_t from_start;
        bool framed;  /* between a client and a receiver */
        bool copied;  /* `from` is a copy of a client */
        bool to_copy; /* `to` is a copy of a receiver */
        bool hello, welcome_written, welcomed;
        bool closed;        /* at the client */
        uint64_t closed_at; /* time of that */
        bool goodbye_client;
        bool pinged;
        unsigned n_pings;   /* since a frame was read on either side */
        uint64_t pinged_at; /* the last of these */
        uint32_t n_unread;  /* frames that the receiver has not read */
        sd_id128_t expected;
        JReceiver *receiver; /* whose WELCOME the client has read */
        uint64_t opened;     /* number of that observation */
        uint64_t opened_at;  /* its time */
        uint32_t to_start;   /* of the receiver, when it granted credit */
        uint32_t granted;
        bool to_closed;      /* at the receiver */
        bool to_broken;      /* the same: not by itself */
        JConnection *before; /* to the same receiver, while something is unanswered there */
        uint32_t credit, credit_before, window;
        uint64_t credit_at;
        JDelivery *flight;
        uint32_t n_flight;
        uint64_t second, n_busy;

        /* judge-turns.c */
        uint64_t waits_since; /* its client was refused: number of the observation; 0: it was not */
        uint32_t n_passed;    /* places that went to clients that were refused later */
        /* As its client has read: busy since (time), what was refused last, CREDIT after that (time) */
        uint64_t told_busy_at, told_offer_at;
        uint64_t used_at; /* its client has sent or read something of a message: time */
        const JMessage *told_busy;
        uint32_t n_pauses; /* after refusals in a row, without CREDIT */
        uint64_t pauses;   /* those behind the first ones, together */
};

struct JKey {
        IndexItem by_key;
        uint64_t key;
        JMessage *first, *last; /* accepted, in order; what is over is dropped from the front */
        JMessage *current;      /* the last one on the wire */
};

typedef struct JIdempotent {
        IndexItem by_key;
        uint64_t key;
        JMessage *message;
        uint64_t at;
} JIdempotent;

typedef struct JOpens {
        uint64_t minute;
        uint32_t n;
        JConnection *last;
} JOpens;

struct Judge {
        const Plan *plan;
        bool disabled[_RULE_MAX];
        Verdict verdict;
        const Observation *o; /* that is being looked at */
        uint64_t begin;       /* time of the first one */
        uint64_t faults_end;  /* time; 0: not yet */
        /* Times; steps of the plan disturb something, make something slow, or cut it off. */
        uint64_t disturbed_until, stalled_until;
        char *chunk; /* memory */
        size_t chunk_used, chunk_size;
        JProcess processes[J_PROCESSES_MAX];
        JPlanned *planned; /* by number */
        Index messages, receivers, streams, connections, runs, keys, idempotent;
        JOpens opens[J_PROCESSES_MAX][J_PROCESSES_MAX];
        JMessage *open;       /* messages that must end */
        JMessage *urgent[64]; /* accepted, not run yet */
        unsigned n_urgent;
        uint64_t n_open;
        bool clock_stepped[MACHINES_MAX];
        uint64_t disk_fails_until[MACHINES_MAX]; /* every write or every sync: time */
        bool copied;                             /* a copy of a process has connected */
        bool polls_may_hang;                     /* the plan loses what is written */
        uint64_t polls_hang_until;               /* discovery has lost its power: time */
};

/* judge.c. Ends the run, unless the rule is off. */
void breach(Judge *j, RuleId rule, const JMessage *m, const JProcess *p, const char *format, ...)
                _printf_(5, 6);

/* judge-text.c: parts of a verdict. Each call returns a text that stays valid for some more calls. */
const char *text_process(const JProcess *p);
const char *text_message(const JMessage *m);
const char *text_time(const Judge *j, uint64_t at);
const char *text_id(sd_id128_t id);
const char *text_outcome(unsigned outcome);
const char *text_state(unsigned state);

/* judge-state.c: finds what an observation is about; …_get() makes it if it is new. */
JProcess *judge_process(Judge *j, Process *p); /* NULL for NULL */
JPlanned *judge_planned(Judge *j, uint64_t number);
unsigned planned_idempotency(const JPlanned *p);          /* 0: none */
const PlannedMessage *planned_message(const JMessage *m); /* NULL: not known */
JMessage *judge_message(Judge *j, sd_id128_t id);
/* `number`: of the plan; UINT64_MAX: not known. */
JMessage *judge_message_get(Judge *j, sd_id128_t id, JProcess *client, uint64_t number);
JReceiver *judge_receiver(Judge *j, sd_id128_t id);
JDelivery *judge_delivery(const JMessage *m, const JReceiver *r);
JDelivery *judge_delivery_get(Judge *j, JMessage *m, JReceiver *r);
JStream *judge_stream(Judge *j, sd_id128_t id);
JStream *judge_stream_get(Judge *j, sd_id128_t id, JProcess *client, JReceiver *r);
JEntry *judge_entry(const JStream *s, uint64_t sequence); /* of a message that is known */
JEntry *judge_entry_get(JStream *s, uint64_t sequence);
JConnection *judge_connection(Judge *j, uint64_t number);
JConnection *judge_connection_get(Judge *j, uint64_t number);
JRun *judge_run(Judge *j, uint64_t number);
JRun *judge_run_new(Judge *j, uint64_t number, JDelivery *d, JProcess *p);
JIdempotent *judge_idempotent(Judge *j, const JProcess *client, unsigned number);
void judge_free_streams(Judge *j);

/* A step has taken away the ground of promises about this message or stream since it became known. */
bool message_is_excepted(const JMessage *m);
bool flag_is_excepted(const JMessage *m); /* what has lost records marks everything that waits */
bool stream_is_excepted(const JStream *s);
/* The same for what a receiver has known since that observation. */
bool receiver_is_excepted(const JReceiver *r, uint64_t since);

/* judge-steps.c: steps, starts and ends of processes */
void steps_see(Judge *j, const Observation *o);

/* judge-messages.c: callers */
void messages_see(Judge *j, const Observation *o);
void message_held(Judge *j, JMessage *m); /* its client must have it, and it must end */
void message_over(Judge *j, JMessage *m); /* it has ended, or need not end */
void message_keep(JMessage *m);           /* its client must have it */
void message_unkeep(JMessage *m);

/* judge-ends.c: what callers are told */
void ends_see(Judge *j, const Observation *o);
bool clock_was_set(const Judge *j, const JProcess *client);

/* judge-fanout.c: ends of messages to several */
void fanout_acked(Judge *j, const JMessage *m);
void fanout_dead(Judge *j, const JMessage *m);

/* judge-loads.c: what a client has after a start */
void loads_see(Judge *j, const Observation *o);

/* judge-runs.c: handlers */
void runs_see(Judge *j, const Observation *o);

/* judge-wire.c: connections */
void wire_see(Judge *j, const Observation *o);
void receiver_of(Judge *j, JReceiver *r, JProcess *p); /* `p` has this id now */

/* judge-sends.c: MESSAGE and CANCEL */
void message_written(Judge *j, const Observation *o, JConnection *c);
void message_read(Judge *j, const Observation *o, JConnection *c);
void message_unbound(Judge *j, JMessage *m);
void cancel_written(Judge *j, const Observation *o, JConnection *c);
void cancel_read(Judge *j, const Observation *o, JConnection *c);

/* The highest attempt that is over without an ack, as far as the client has read or told. A message to one
 * receiver takes its attempts along when it moves. */
uint32_t attempts_over(const JDelivery *d);
void attempt_is_over(JDelivery *d, uint32_t attempt);

/* judge-answers.c: ANSWER */
void answer_written(Judge *j, const Observation *o, JConnection *c);
void answer_read(Judge *j, const Observation *o, JConnection *c);

/* judge-replies.c: the reply in an ack that is written */
void reply_written(Judge *j, const JConnection *c, const JDelivery *d, const AnswerFrame *a);

/* judge-streams.c: sequences; SETTLED and PRUNED */
void streams_sent(Judge *j, const Observation *o, JConnection *c, JMessage *m, sd_id128_t stream,
                uint64_t sequence);
void entry_written(JEntry *e, const Observation *o);
void entry_read(Judge *j, sd_id128_t stream, uint64_t sequence);
void streams_settled(Judge *j, const Observation *o, JConnection *c);
void streams_settled_read(Judge *j, const Observation *o, JConnection *c);
void streams_loaded_open(Judge *j, const JMessage *m);
void stream_pruned(Judge *j, const Observation *o, JConnection *c);

/* judge-credit.c: messages in flight */
uint64_t client_ack_timeout(const Judge *j, const JProcess *client);
void credit_read(const Judge *j, JConnection *c, uint32_t credit);
void credit_check(Judge *j, const JMessage *m, JConnection *c, const JDelivery *d);
void flight_begin(const Judge *j, JDelivery *d, JConnection *c);
void flight_goes_on(const Judge *j, JDelivery *d, JConnection *c);
void flight_end(JDelivery *d);

/* judge-keys.c */
void keys_accepted(Judge *j, JMessage *m);
void keys_sent(Judge *j, JMessage *m);

/* judge-fair.c */
void fair_accepted(Judge *j, JMessage *m);
void fair_run(Judge *j, const JRun *r);
unsigned plan_machine_of(const Plan *p, unsigned process); /* its index; no copy */
void fair_charged(JRun *r);
void fair_missed(Judge *j, const Observation *o);
void fair_lost_power(Judge *j, const Observation *o);
void fair_died(Judge *j, JProcess *p, bool orderly); /* before what it had begun is forgotten */
void fair_froze(Judge *j, JProcess *p, uint64_t usec);

/* judge-live.c: liveness and bounds */
void live_see(Judge *j, const Observation *o);
void live_accepted(Judge *j, JMessage *m);
void live_count_send(
                Judge *j, JMessage *m, const JDelivery *d, const JConnection *c); /* before it is noted */
void live_sent(Judge *j, JMessage *m, JConnection *c, bool first);
void live_over(JMessage *m); /* it does not wait any more */
void live_busy(Judge *j, JConnection *c);
void live_opened(Judge *j, JConnection *c);
void live_run(JProcess *p);
