/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "judge-history.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/time-util.h"

/* The judge asks processes for their numbers and names only. */
struct Process {
        unsigned index;
        const char *name;
};
static Process processes[] = {{0, "discovery"}, {1, "c0"}, {2, "r0"}, {3, "r1"}, {4, "r2"}, {5, "r0-copy1"},
                {6, "c0-copy2"}};

unsigned process_index(const Process *p)
{
        return p->index;
}

const char *process_name(const Process *p)
{
        return p->name;
}

Process *host_enter(void)
{
        return NULL;
}

void host_leave(Process **was)
{
}

static struct {
        Judge *judge;
        Plan plan;
        uint64_t at, index;
        uint64_t in_output;
        unsigned stream;
        unsigned process_of_run[64], starts[ELEMENTSOF(processes)];
        bool damaged;
} h;

static void see(unsigned process, Observation o)
{
        o.process = processes + process;
        o.at = h.at += USEC_PER_MSEC;
        o.since = o.at - h.in_output;
        o.index = ++h.index;
        (void) judge_see(h.judge, &o);
}

void history_begin_without(const char *rules)
{
        judge_free(h.judge);
        memset(&h, 0, sizeof h);
        h.at = USEC_PER_SEC;
        h.plan = history_plan();
        h.judge = judge_new(&h.plan, rules);
        for (unsigned i = 0; i < COPY; i++)
                start(i);
        loaded();
}

void history_begin(void)
{
        history_begin_without(NULL);
}

Judge *history_judge(void)
{
        return h.judge;
}

const Verdict *history_end(void)
{
        return judge_verdict(h.judge);
}

void wait_usec(uint64_t usec)
{
        h.at += usec;
}

void stay_in_output(uint64_t usec)
{
        h.in_output = usec;
}

void step(StepKind kind, unsigned process)
{
        step_for(kind, process, 0);
}

void step_for(StepKind kind, unsigned process, uint64_t usec)
{
        const Step s = {.kind = kind, .a = process, .usec = usec};

        see(process, (Observation){.kind = OBS_STEP, .step = &s});
}

void start(unsigned process)
{
        h.starts[process]++;
        see(process, (Observation){.kind = OBS_START});
}

void kill_process(unsigned process)
{
        see(process, (Observation){.kind = OBS_KILL});
}

void lose_power(unsigned process)
{
        see(process, (Observation){.kind = OBS_POWER_OFF});
}

void exit_process(unsigned process, unsigned status)
{
        see(process, (Observation){.kind = OBS_EXIT, .number = status});
}

void faults_end(void)
{
        see(0, (Observation){.kind = OBS_FAULTS_END});
}

void over(void)
{
        see(0, (Observation){.kind = OBS_OVER});
}

void log_line(unsigned process, int level)
{
        see(process, (Observation){.kind = OBS_LOG, .number = (uint64_t) level, .text = "a line"});
}

void warn_text(unsigned process, const char *text)
{
        see(process, (Observation){.kind = OBS_LOG, .number = LOG_WARNING, .text = text});
}

void log_text(unsigned process, const char *text)
{
        see(process, (Observation){.kind = OBS_LOG, .number = LOG_NOTICE, .text = text});
}

/* Callers. */

static sd_id128_t id_of(unsigned message)
{
        sd_id128_t id = {.bytes = {0xAA, (uint8_t) (message >> 8), (uint8_t) message}};

        return id;
}

void submit(unsigned message)
{
        see(C0, (Observation){.kind = OBS_SUBMIT, .message = message});
}

void accept_as(unsigned message, unsigned id)
{
        see(C0, (Observation){.kind = OBS_ACCEPT, .message = message, .id = id_of(id)});
}

void accept_message(unsigned message)
{
        submit(message);
        accept_as(message, message);
}

void refuse_as(unsigned message, const char *reason)
{
        see(C0, (Observation){.kind = OBS_REFUSE, .message = message, .text = reason});
}

void refuse(unsigned message)
{
        refuse_as(message, "OutboxFull");
}

void request(ObservationKind kind, unsigned message)
{
        see(C0, (Observation){.kind = kind, .id = id_of(message)});
}

void event(unsigned message, MessageEvent event)
{
        see(C0, (Observation){.kind = OBS_MESSAGE_EVENT, .id = id_of(message), .number = event});
}

static sd_id128_t receiver_of_connection(unsigned connection)
{
        sd_id128_t id = {.bytes = {0xBB, (uint8_t) (connection % 10)}};

        return id;
}

void event_at(unsigned receiver, unsigned message, MessageEvent event, uint32_t attempt)
{
        see(C0, (Observation){.kind = OBS_MESSAGE_EVENT,
                                .id = id_of(message),
                                .receiver = receiver_of_connection(receiver),
                                .number = event,
                                .attempt = attempt});
}

void no_ack(unsigned receiver, unsigned message, uint32_t attempt)
{
        event_at(receiver, message, EVENT_NO_ACK, attempt);
}

void end_message(unsigned message, DeliveryState state, bool durable)
{
        see(C0, (Observation){.kind = OBS_END,
                                .id = id_of(message),
                                .state = (int) state,
                                .detail = durable});
}

void load(unsigned message, DeliveryState state)
{
        see(C0, (Observation){.kind = OBS_LOAD, .id = id_of(message), .state = (int) state});
}

void loaded(void)
{
        see(C0, (Observation){.kind = OBS_LOADED});
}

/* The wire. */

static void see_frame(unsigned connection, bool by_client, ObservationKind kind, const Frame *f)
{
        const unsigned receiver = R0 + connection % 10,
                       client = connection < FROM_COPY ? C0 : COPY_OF_CLIENT;
        const NetEvent e = {
                        .connection = connection + 1,
                        .from = processes + (by_client ? client : receiver),
                        .to = processes + (by_client ? receiver : client),
        };
        Observation o = {.kind = kind,
                        .number = connection + 1,
                        .net = &e,
                        .frame = f,
                        .flagged = kind == OBS_CLOSE && h.in_output > 0,
                        .message = f && f->type == FRAME_MESSAGE
                                                   ? (uint64_t) f->message.message.bytes[1] << 8 |
                                                                     f->message.message.bytes[2]
                                                   : UINT64_MAX};

        see(by_client == (kind == OBS_DELIVER) ? receiver : client, o);
}

void write_frame(unsigned connection, bool by_client, const Frame *f)
{
        see_frame(connection, by_client, OBS_WRITE, f);
}

void read_frame(unsigned connection, bool by_client, const Frame *f)
{
        see_frame(connection, by_client, OBS_DELIVER, f);
}

void pass_frame(unsigned connection, bool by_client, const Frame *f)
{
        write_frame(connection, by_client, f);
        read_frame(connection, by_client, f);
}

static void hello_as(unsigned connection, unsigned receiver, uint8_t sender)
{
        see_frame(connection, true, OBS_OPEN, NULL);
        pass_frame(connection, true,
                        &(Frame){.type = FRAME_HELLO,
                                        .hello = {.receiver = receiver_of_connection(receiver),
                                                        .sender = {.bytes = {sender}}}});
}

void hello(unsigned connection)
{
        hello_as(connection, connection, 0);
}

void hello_of(unsigned connection, uint8_t sender)
{
        hello_as(connection, connection, sender);
}

void open_connection_as(unsigned connection, unsigned receiver, uint32_t credit)
{
        hello_as(connection, receiver, 0);
        pass_frame(connection, false,
                        &(Frame){.type = FRAME_WELCOME,
                                        .welcome = {.receiver = receiver_of_connection(receiver),
                                                        .credit = credit,
                                                        .window = 16}});
}

void open_connection(unsigned connection, uint32_t credit)
{
        open_connection_as(connection, connection, credit);
}

void close_connection(unsigned connection)
{
        see_frame(connection, true, OBS_CLOSE, NULL);
}

void use_stream(unsigned number)
{
        h.stream = number;
}

static sd_id128_t stream(void)
{
        sd_id128_t id = {.bytes = {0xCC, (uint8_t) h.stream}};

        return id;
}

static Frame message_frame(unsigned message, uint64_t sequence, uint32_t attempt, bool flagged)
{
        return (Frame){.type = FRAME_MESSAGE,
                        .message = {.stream = stream(),
                                        .sequence = sequence,
                                        .message = id_of(message),
                                        .attempt = attempt,
                                        .flags = (flagged ? MESSAGE_POSSIBLE_DUPLICATE : 0) |
                                                 (message == IN_MEMORY ? MESSAGE_TRANSIENT : 0)}};
}

void write_message(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, bool flagged)
{
        const Frame f = message_frame(message, sequence, attempt, flagged);

        write_frame(connection, true, &f);
}

void read_message(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, bool flagged)
{
        const Frame f = message_frame(message, sequence, attempt, flagged);

        read_frame(connection, true, &f);
}

void send_message(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, bool flagged)
{
        const Frame f = message_frame(message, sequence, attempt, flagged);

        pass_frame(connection, true, &f);
}

void cancel_frame(unsigned connection, unsigned message, uint64_t sequence)
{
        pass_frame(connection, true,
                        &(Frame){.type = FRAME_CANCEL,
                                        .cancel = {.stream = stream(),
                                                        .sequence = sequence,
                                                        .message = id_of(message)}});
}

static Frame answer_frame(unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome)
{
        return (Frame){.type = FRAME_ANSWER,
                        .answer = {.stream = stream(),
                                        .sequence = sequence,
                                        .message = id_of(message),
                                        .attempt = attempt,
                                        .outcome = outcome}};
}

void write_answer(
                unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome)
{
        const Frame f = answer_frame(message, sequence, attempt, outcome);

        write_frame(connection, false, &f);
}

void read_answer(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome)
{
        const Frame f = answer_frame(message, sequence, attempt, outcome);

        read_frame(connection, false, &f);
}

void answer(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt, Outcome outcome)
{
        write_answer(connection, message, sequence, attempt, outcome);
        read_answer(connection, message, sequence, attempt, outcome);
}

void write_reply(unsigned connection, unsigned message, uint64_t sequence, uint32_t attempt,
                const char *reply, bool cut)
{
        Frame f = answer_frame(message, sequence, attempt, OUTCOME_ACKED);

        f.answer.flags = cut ? ANSWER_CUT : 0;
        f.answer.data = (Bytes){(const uint8_t *) reply, strlen(reply)};
        write_frame(connection, false, &f);
}

void settled(unsigned connection, uint64_t low, bool closed)
{
        pass_frame(connection, true,
                        &(Frame){.type = FRAME_SETTLED,
                                        .settled = {.stream = stream(),
                                                        .low = low,
                                                        .flags = closed ? SETTLED_CLOSED : 0}});
}

void credit(unsigned connection, uint32_t credit)
{
        pass_frame(connection, false, &(Frame){.type = FRAME_CREDIT, .credit = credit});
}

/* Handlers. */

static Observation run_of(unsigned process, unsigned message, uint64_t sequence, uint32_t attempt)
{
        return (Observation){.kind = OBS_RUN,
                        .message = message,
                        .id = id_of(message),
                        .stream = stream(),
                        .receiver = receiver_of_connection(process - R0),
                        .sequence = sequence,
                        .attempt = attempt};
}

void begin_run(unsigned process, unsigned run, unsigned message, uint64_t sequence, uint32_t attempt,
                bool flagged)
{
        Observation o = run_of(process, message, sequence, attempt);

        o.number = run;
        o.flagged = flagged;
        o.detail = h.damaged;
        h.process_of_run[run] = process;
        h.damaged = false;
        see(process, o);
}

void miss_run(unsigned process, unsigned message, uint64_t sequence, uint32_t attempt)
{
        Observation o = run_of(process, message, sequence, attempt);

        o.kind = OBS_RUN_MISSED;
        o.state = (int) h.starts[process];
        see(process, o);
}

void damage_next_run(void)
{
        h.damaged = true;
}

void effect(unsigned run)
{
        see(h.process_of_run[run], (Observation){.kind = OBS_EFFECT, .number = run});
}

void end_run(unsigned run, RunEnd end)
{
        see(h.process_of_run[run], (Observation){.kind = OBS_RUN_END, .number = run, .detail = (int) end});
}

void do_run(unsigned process, unsigned run, unsigned message, uint64_t sequence, uint32_t attempt,
                bool flagged)
{
        begin_run(process, run, message, sequence, attempt, flagged);
        effect(run);
        end_run(run, RUN_DONE);
}

void do_run_with_reply(unsigned process, unsigned run, unsigned message, uint64_t sequence, size_t size)
{
        begin_run(process, run, message, sequence, 1, false);
        effect(run);
        see(process, (Observation){.kind = OBS_RUN_END,
                                     .number = run,
                                     .sequence = size,
                                     .detail = RUN_DONE});
}

void observe_dedup(unsigned process, uint64_t records, uint64_t streams)
{
        see(process, (Observation){.kind = OBS_DEDUP, .number = records, .sequence = streams});
}

void observe_memory(unsigned process, uint64_t objects)
{
        see(process, (Observation){.kind = OBS_MEMORY, .number = objects});
}
