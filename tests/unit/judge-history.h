/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Histories for the judge, written line by line. Each line takes a millisecond. There are client c0 and
 * receivers r0, r1, r2 (2 handlers at once, 4000 in the queue), which are up from the beginning; messages
 * are called by their number in the plan (see history_begin()). Connection i leads from c0 to receiver i
 * % 10; from FROM_COPY on, it leads from the copy of c0. */

#include "sim/judge.h"

enum { C0 = 1, R0 = 2, R1 = 3, R2 = 4, COPY = 5, COPY_OF_CLIENT = 6 }; /* numbers of processes */

#define FROM_COPY 100000u

enum {
        TO_R0,
        TO_R0_AGAIN,
        ANY,
        QUORUM, /* of 2 */
        ALL,
        KEY,
        KEY_NEXT,
        IN_MEMORY,
        IDEMPOTENT,
        IDEMPOTENT_AGAIN,
        TWO_ATTEMPTS,
        URGENT,
        URGENT_ANY,
        DELAYED,       /* by 10 s */
        WITH_DEADLINE, /* after 10 s */
        KEY_ONCE,      /* one attempt */
        KEY_LOW,       /* with the lowest priority, which means nothing for a key */
        MANY,
        MANY_LAST = MANY + 1200,
        N_MESSAGES
};

Plan history_plan(void); /* judge-history-plan.c */
void history_begin(void);
void history_begin_without(const char *rules);
Judge *history_judge(void);
const Verdict *history_end(void); /* valid until the next one begins */
void wait_usec(uint64_t usec);
void stay_in_output(uint64_t usec); /* frames from now on, before their kernel takes them */

void step(StepKind kind, unsigned process);
void step_for(StepKind kind, unsigned process, uint64_t usec);
void start(unsigned process);
void kill_process(unsigned process);
void lose_power(unsigned process);                    /* after kill_process() */
void exit_process(unsigned process, unsigned status); /* by itself */
void faults_end(void);
void over(void);
void log_line(unsigned process, int level);
void warn_text(unsigned process, const char *text);
void log_text(unsigned process, const char *text);

void submit(unsigned message);
void accept_message(unsigned message); /* submits it, too */
void accept_as(unsigned message, unsigned id);
void refuse(unsigned message);
void refuse_as(unsigned message, const char *reason);
void request(ObservationKind kind, unsigned message);
void event(unsigned message, MessageEvent event);
void event_at(unsigned receiver, unsigned message, MessageEvent event, uint32_t attempt);
void no_ack(unsigned receiver, unsigned message, uint32_t attempt);
void end_message(unsigned message, DeliveryState state, bool durable);
void load(unsigned message, DeliveryState state);
void loaded(void);

void open_connection(unsigned connection, uint32_t credit); /* with HELLO and WELCOME */
/* The same, under the id of another receiver. */
void open_connection_as(unsigned connection, unsigned receiver, uint32_t credit);
void close_connection(unsigned connection); /* at c0 */
void hello(unsigned connection);
void hello_of(unsigned connection, uint8_t sender); /* 0: the id is not known */
void write_frame(unsigned connection, bool by_client, const Frame *f);
void read_frame(unsigned connection, bool by_client, const Frame *f);
void pass_frame(unsigned connection, bool by_client, const Frame *f); /* both */

/* Under the stream that is set; the first one by default. */
void use_stream(unsigned number);
void send_message(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, bool flagged);
void write_message(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, bool flagged);
void read_message(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, bool flagged);
void cancel_frame(unsigned connection, unsigned message, uint64_t sequence);
void answer(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome);
void write_answer(
                unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome);
void read_answer(
                unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome);
void write_reply(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt,
                const char *reply, bool cut); /* of an ack */
void settled(unsigned connection, uint64_t low, bool closed);
void credit(unsigned connection, uint32_t credit);

/* Of the message and sequence that were sent last there. */
void begin_run(unsigned process, unsigned run, unsigned message, uint64_t sequence, uint32_t attempt,
                bool flagged);
void effect(unsigned run);
void end_run(unsigned run, RunEnd end);
/* A handler for it is killed before it begins. */
void miss_run(unsigned process, unsigned message, uint64_t sequence, uint32_t attempt);
void damage_next_run(void); /* it gets another payload */
/* Begins, has its effect, and is done. */
void do_run(unsigned process, unsigned run, unsigned message, uint64_t sequence, uint32_t attempt,
                bool flagged);
void do_run_with_reply(unsigned process, unsigned run, unsigned message, uint64_t sequence, size_t size);
void observe_dedup(unsigned process, uint64_t records, uint64_t streams);
void observe_memory(unsigned process, uint64_t objects);
