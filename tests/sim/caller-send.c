/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Callers that send one message each. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "client/intake/submit.h"
#include "sim/caller.h"
#include "sim/handler.h"

/* How often a caller comes again when it was refused or had no answer, and after how long. */
#define TRIES_MAX      30u
#define PAUSE_MIN_USEC (200 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (2 * USEC_PER_SEC)

struct Sending {
        Request request;
        Actor *client;
        PlannedMessage message;
        bool waits; /* for the answer */
        unsigned tries;
        uint64_t last_number; /* of the client, before it was handed over */
        Sending *prev, *next;
};

/* What callers know, by number of message. */
static sd_id128_t *known;
static PlannedMessage *planned;

static void plan_message(PlannedMessage m)
{
        if (m.number >= sim.plan->n_messages)
                return;
        m.size = (unsigned) payload_size(&m);
        planned[m.number] = m;
}

PlannedMessage bulk_message(const Step *step, unsigned i)
{
        PlannedMessage m = step->message;

        m.number += i;
        m.key += i % MAX(m.keys, 1u);
        if (m.idempotency > 0)
                m.idempotency += i;
        return m;
}

void senders_begin(void)
{
        const Plan *p = sim.plan;

        known = world_alloc((p->n_messages + 1) * sizeof *known);
        planned = world_alloc((p->n_messages + 1) * sizeof *planned);
        for (size_t k = 0; k < p->n_steps; k++) {
                const Step *step = p->steps + k;

                if (step->kind == STEP_SEND)
                        plan_message(step->message);
                for (unsigned i = 0; step->kind == STEP_BULK && i < step->b; i++)
                        plan_message(bulk_message(step, i));
        }
}

sd_id128_t sending_id(unsigned number)
{
        return number < sim.plan->n_messages ? known[number] : SD_ID128_NULL;
}

void sending_note(unsigned number, sd_id128_t id)
{
        if (number < sim.plan->n_messages)
                known[number] = id;
}

Bytes payload_make(const PlannedMessage *m)
{
        static uint8_t buffer[PAYLOAD_DEFAULT_MAX];
        const size_t size = MIN(payload_size(m), sizeof buffer);

        payload_fill(m->number, buffer, size);
        return (Bytes){buffer, size};
}

const PlannedMessage *message_planned(uint64_t number, void *userdata)
{
        return number < sim.plan->n_messages && planned[number].size > 0 ? planned + number : NULL;
}

const char *ordering_key(unsigned key, char ret[static KEY_TEXT_MAX])
{
        (void) snprintf(ret, KEY_TEXT_MAX, "k%u", key);
        return ret;
}

const char *idempotency_key(const Actor *client, unsigned number, char ret[static KEY_TEXT_MAX])
{
        (void) snprintf(ret, KEY_TEXT_MAX, "c%u-%u", client->number, number);
        return ret;
}

void submission_fill(Submission *s, const Actor *client, const PlannedMessage *m)
{
        static const char *const groups[] = {"", "g1", "g2"};
        static const char *const receivers[RECEIVERS_MAX] = {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"};
        static char key[KEY_TEXT_MAX], idempotency[KEY_TEXT_MAX];

        *s = (Submission){
                        .mode = m->mode,
                        .target = m->mode == SELECTOR_TO ? receivers[m->receiver % RECEIVERS_MAX]
                                                         : groups[m->group % ELEMENTSOF(groups)],
                        .follow = m->follow,
                        .quorum = m->mode == SELECTOR_QUORUM ? m->quorum : 0,
                        .key = m->mode == SELECTOR_KEY ? ordering_key(m->key, key) : NULL,
                        .transient = m->transient,
                        .delay_usec = m->delay_usec,
                        .policy = POLICY_ALL_OPEN,
        };
        if (m->idempotency > 0)
                s->idempotency_key = idempotency_key(client, m->idempotency, idempotency);
        s->policy.priority = m->priority;
        if (m->max_attempts > 0)
                s->policy.max_attempts = m->max_attempts;
}

static void see(const Sending *s, Observation o)
{
        o.process = s->client->process;
        o.message = s->message.number;
        observe(o);
}

static void on_again(void *userdata)
{
        Sending *s = userdata;

        request_put(&s->request);
}

/* True if it is safe, or what any program would do: without a key, only after a clear refusal. */
static bool may_repeat(const Sending *s, int r)
{
        if (s->message.leaves || s->tries >= TRIES_MAX)
                return false;
        return r == -ENOENT || r == -ENOTUNIQ || r == -EDQUOT || r == -ESHUTDOWN ||
               (s->message.idempotency > 0 && r != -EINVAL && r != -EMSGSIZE);
}

/* `r`: why. -ECANCELED: there was no answer. */
static void repeat_later(Sending *s, int r)
{
        HOST_SCOPE;

        if (may_repeat(s, r))
                world_call_at(world_now() + world_random_between(PAUSE_MIN_USEC, PAUSE_MAX_USEC), on_again,
                                s, NULL);
}

static void end_wait(Sending *s)
{
        s->waits = false;
        DL_DELETE(s->client->callers->in_flight, s);
}

static void refused(Sending *s, int r, const char *text)
{
        end_wait(s);
        see(s, (Observation){.kind = OBS_REFUSE, .number = (uint64_t) -r, .text = text});
        repeat_later(s, r);
}

static void on_submitted(Message *m, int r, uint64_t number, void *userdata)
{
        Sending *s = userdata;

        if (!s->waits) /* the caller has left */
                return;
        if (r < 0) {
                refused(s, r, "Storage");
                return;
        }
        end_wait(s);
        sending_note(s->message.number, m->record.id);
        see(s, (Observation){.kind = OBS_ACCEPT,
                               .id = m->record.id,
                               .detail = m->record.number <= s->last_number});
}

static void lose(Sending *s)
{
        end_wait(s);
        see(s, (Observation){.kind = OBS_LOSE_CALLER});
}

static void run(Request *q, Client *c)
{
        Sending *s = CONTAINER_OF(q, Sending, request);
        Submission submission;
        Error error = {};
        int r;

        s->tries++;
        s->waits = true;
        s->last_number = c->messages.last_number;
        DL_APPEND(s->client->callers->in_flight, s);
        see(s, (Observation){.kind = OBS_SUBMIT});

        submission_fill(&submission, s->client, &s->message);
        const Bytes payload = payload_make(&s->message);
        submission.payload = payload.data;
        submission.size = payload.size;
        if (s->message.deadline_usec > 0)
                submission.policy.deadline_usec =
                                loop_now(c->loop, CLOCK_REALTIME) + s->message.deadline_usec;
        r = client_submit(c, &submission, on_submitted, s, &error);
        if (r < 0)
                refused(s, r, submit_error_name(r));
        else if (s->message.leaves && s->waits)
                lose(s);
}

static void give_up(Request *q)
{
        Sending *s = CONTAINER_OF(q, Sending, request);

        see(s, (Observation){.kind = OBS_LOSE_CALLER});
}

void caller_send(const Step *step)
{
        Actor *client = actor_of_client(step->a);
        Sending *s;

        if (!client)
                return;
        s = world_alloc(sizeof *s);
        *s = (Sending){
                        .request = {.run = run, .give_up = give_up, .callers = client->callers},
                        .client = client,
                        .message = step->message,
        };
        request_put(&s->request);
}

void sendings_lose(Callers *callers)
{
        Sending *s, *next;

        DL_FOREACH_SAFE(callers->in_flight, s, next) {
                lose(s);
                repeat_later(s, -ECANCELED);
        }
}
