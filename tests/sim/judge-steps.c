/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts and ends of processes, and what the steps of the plan except from the rules. */
#include "sim/judge-duties.h"

static JProcess *planned_process(Judge *j, unsigned number)
{
        return number < J_PROCESSES_MAX ? j->processes + number : NULL;
}

/* What this process knew up to now is excepted. A copy that runs at the same time, and damage that may come
 * to light at any time, except all that it will ever know. */
static void mark(Judge *j, JProcess *p, bool for_ever)
{
        if (!p)
                return;
        p->restored |= j->o->step->kind != STEP_FLIP || !p->up;
        p->marked = for_ever ? UINT64_MAX : MAX(p->marked, j->o->index);
        p->marked_start = p->starts;
}

/* A receiver that loses its id: messages that were addressed to it wait for it for ever, and this is right.
 */
static void replace(Judge *j, JProcess *p)
{
        if (p)
                p->replaced = j->o->index;
}

static void take_step(Judge *j, const Step *s)
{
        JProcess *a = planned_process(j, s->a);

        j->begin = j->o->at - s->at;
        calm_step(j, s);
        switch (s->kind) {
        case STEP_RESTORE:
                mark(j, a, false);
                /* An older state may hold another id, or none. */
                replace(j, a);
                if (a)
                        a->sender = SD_ID128_NULL;
                break;
        case STEP_CLONE:
                /* Original and copy know the same messages. A client gives new ones to the original only; a
                 * receiver shares its id with the copy until one of them finds out. */
                mark(j, a, a && a->role != ROLE_CLIENT);
                replace(j, a);
                break;
        case STEP_FLIP:
                mark(j, a, true);
                replace(j, a);
                if (a) {
                        a->damaged = j->o->at;
                        a->reported = false;
                }
                break;
        case STEP_REPLACE:
                mark(j, a, false);
                replace(j, a);
                break;
        case STEP_TERMINATE:
                if (a && a->up && a->terminated_at == 0)
                        a->terminated_at = j->o->at;
                break;
        case STEP_DRAIN:
                if (a)
                        duties_drain(j, a, s->usec);
                break;
        case STEP_FORGET:
                mark(j, a, false);
                break;
        case STEP_RELOAD:
                if (a)
                        a->reloaded = true;
                break;
        case STEP_FREEZE:
                if (a)
                        fair_froze(j, a, s->usec);
                break;
        case STEP_DISK_ERROR:
                if (s->a < MACHINES_MAX && s->usec > 0)
                        j->disk_fails_until[s->a] = MAX(j->disk_fails_until[s->a], j->o->at + s->usec);
                break;
        case STEP_CLOCK:
                if (s->a < MACHINES_MAX)
                        j->clock_stepped[s->a] = true;
                break;
        default:
                break;
        }
}

/* What was in memory only is lost with its client. */
static void lose_memory(Judge *j, JProcess *client)
{
        while (client->in_memory) {
                JMessage *m = client->in_memory;

                message_unkeep(m);
                m->lost = m->end == 0;
                message_over(j, m);
        }
}

static void end_process(Judge *j, JProcess *p)
{
        const bool orderly = j->o->kind == OBS_EXIT && j->o->number == 0;

        duties_ended(j, p, orderly);
        p->up = false;
        p->died = !orderly;
        p->down_at = j->o->at;
        if (p->role == ROLE_CLIENT)
                lose_memory(j, p);
}

void steps_see(Judge *j, const Observation *o)
{
        JProcess *p = judge_process(j, o->process);

        if (o->kind == OBS_STEP)
                take_step(j, o->step);
        else if (o->kind == OBS_START) {
                p->starts++;
                p->started = o->index;
                p->started_at = o->at;
                times_news(j, p);
                p->up = true;
        } else if (p && p->up) {
                end_process(j, p);
                /* A kill soon after the start tells nothing. */
                p->failed = o->kind == OBS_EXIT ? o->number != 0
                                                : p->failed && o->at < p->started_at + USEC_PER_SEC;
        }
}
