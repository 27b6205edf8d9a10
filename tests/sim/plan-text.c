/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/plan-text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/time-util.h"
#include "model/policy.h"

#define SPAN_MAX 24

static const char *const step_kinds[_STEP_KIND_MAX] = {
                [STEP_SEND] = "send",
                [STEP_BULK] = "bulk",
                [STEP_CANCEL] = "cancel",
                [STEP_REVIVE] = "revive",
                [STEP_PURGE] = "purge",
                [STEP_INSIST] = "insist",
                [STEP_KILL] = "kill",
                [STEP_KILL_AT] = "kill-at",
                [STEP_KILL_AT_SYNC] = "kill-at-sync",
                [STEP_TERMINATE] = "terminate",
                [STEP_POWER_OFF] = "power-off",
                [STEP_FREEZE] = "freeze",
                [STEP_POWER_AT_SYNC] = "power-at-sync",
                [STEP_SUSPEND] = "suspend",
                [STEP_RELOAD] = "reload",
                [STEP_DRAIN] = "drain",
                [STEP_PARTITION] = "partition",
                [STEP_SLOW_LINK] = "slow-link",
                [STEP_RESET] = "reset",
                [STEP_BLACKHOLE] = "blackhole",
                [STEP_STALL] = "stall",
                [STEP_ORPHAN] = "orphan",
                [STEP_LOSE_ANSWERS] = "lose-answers",
                [STEP_CLOCK] = "clock",
                [STEP_DISK_FULL] = "disk-full",
                [STEP_DISK_SLOW] = "disk-slow",
                [STEP_DISK_HANG] = "disk-hang",
                [STEP_DISK_ERROR] = "disk-error",
                [STEP_FLIP] = "flip",
                [STEP_RESTORE] = "restore",
                [STEP_CLONE] = "clone",
                [STEP_SYNC_ERROR] = "sync-error",
                [STEP_MEMORY] = "memory",
                [STEP_FORGET] = "forget",
                [STEP_REPLACE] = "replace",
                [STEP_HANDLERS] = "handlers",
};

static const char *const handler_moods[_HANDLER_MOOD_MAX] = {
                [MOOD_NORMAL] = "work as planned",
                [MOOD_FAIL] = "fail",
                [MOOD_REJECT] = "reject",
                [MOOD_HANG] = "hang",
                [MOOD_CANNOT] = "cannot be started",
                [MOOD_KILL] = "kill their receiver",
                [MOOD_TALK] = "write many lines",
                [MOOD_FORK] = "leave a descendant",
};

const char *step_kind_to_string(StepKind kind)
{
        return (unsigned) kind < _STEP_KIND_MAX ? step_kinds[kind] : "?";
}

static const char *mood_to_string(HandlerMood mood)
{
        return (unsigned) mood < _HANDLER_MOOD_MAX ? handler_moods[mood] : "?";
}

const char *plan_process_name(const Plan *p, unsigned process, char ret[static PROCESS_NAME_MAX])
{
        if (process == 0)
                return "discovery";
        if (process <= p->n_clients)
                (void) snprintf(ret, PROCESS_NAME_MAX, "c%u", process - 1);
        else
                (void) snprintf(ret, PROCESS_NAME_MAX, "r%u", process - 1 - p->n_clients);
        return ret;
}

/* "3.2 s" */
static const char *format_span(char ret[static SPAN_MAX], uint64_t usec)
{
        if (usec < 1000)
                (void) snprintf(ret, SPAN_MAX, "%u µs", (unsigned) usec);
        else if (usec < USEC_PER_SEC)
                (void) snprintf(ret, SPAN_MAX, "%.3g ms", (double) usec / 1e3);
        else if (usec < 600 * USEC_PER_SEC)
                (void) snprintf(ret, SPAN_MAX, "%.4g s", (double) usec / 1e6);
        else
                (void) snprintf(ret, SPAN_MAX, "%.4g min", (double) usec / 6e7);
        return ret;
}

_printf_(3, 4) static void add(char *ret, size_t size, const char *format, ...)
{
        const size_t n = strlen(ret);
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(ret + n, size - n, format, ap);
        va_end(ap);
}

static void add_span(char *ret, size_t size, const char *what, uint64_t usec)
{
        char span[SPAN_MAX];

        if (usec > 0)
                add(ret, size, ", %s %s", what, format_span(span, usec));
}

static void add_number(char *ret, size_t size, const char *format_one, const char *many, unsigned n)
{
        if (n == 1)
                add(ret, size, ", %s", format_one);
        else if (n > 1)
                add(ret, size, ", %s %u times", many, n);
}

static void add_target(char *ret, size_t size, const PlannedMessage *g)
{
        char group[24];

        if (g->group > 0)
                (void) snprintf(group, sizeof group, "group %u", g->group);
        else
                (void) snprintf(group, sizeof group, "the group");
        switch (g->mode) {
        case SELECTOR_TO:
                add(ret, size, "to r%u", g->receiver);
                break;
        case SELECTOR_ANY:
                add(ret, size, "to any of %s", group);
                break;
        case SELECTOR_ALL:
                add(ret, size, "to all of %s%s", group, g->follow ? ", also those that join" : "");
                break;
        case SELECTOR_QUORUM:
                add(ret, size, "to a quorum of %u of %s", g->quorum, group);
                break;
        case SELECTOR_KEY:
                add(ret, size, "with key %u to %s", g->key, group);
                if (g->keys > 1)
                        add(ret, size, " (%u keys)", g->keys);
                break;
        case _SELECTOR_MODE_MAX:
                break;
        }
}

/* "to r1, 20 bytes, fails 2 times": without its number. */
static void describe_message(const PlannedMessage *g, char *ret, size_t size)
{
        ret[0] = 0;
        add_target(ret, size, g);
        add(ret, size, ", %u bytes", g->size);
        if (g->idempotency > 0)
                add(ret, size, ", idempotency key %u", g->idempotency);
        if (g->priority != PRIORITY_DEFAULT)
                add(ret, size, ", priority %u", g->priority);
        if (g->transient)
                add(ret, size, ", in memory only");
        add_span(ret, size, "not before", g->delay_usec);
        add_span(ret, size, "deadline after", g->deadline_usec);
        if (g->max_attempts > 0)
                add(ret, size, ", %u attempt%s at most", g->max_attempts, g->max_attempts == 1 ? "" : "s");
        add_span(ret, size, "works", g->work_usec);
        add_number(ret, size, "fails once", "fails", g->failures);
        add_number(ret, size, "kills its receiver once", "kills its receiver", g->poison);
        if (g->leaves)
                add(ret, size, ", the caller does not wait");
}

static void describe_load(const Step *s, char *ret, size_t size)
{
        char text[400];

        describe_message(&s->message, text, sizeof text);
        switch (s->kind) {
        case STEP_SEND:
                add(ret, size, "c%u gets message %u (%s)", s->a, s->message.number, text);
                break;
        case STEP_BULK:
                add(ret, size, "c%u gets %u messages in bulk, from message %u on (%s)", s->a, s->b,
                                s->message.number, text);
                break;
        case STEP_CANCEL:
                add(ret, size, "a caller of c%u cancels message %u", s->a, s->b);
                break;
        case STEP_INSIST:
                add(ret, size, "a program at c%u retries the next %u dead letters at once", s->a, s->b);
                break;
        default:
                add(ret, size, "a caller of c%u %s up to %u dead letters", s->a,
                                s->kind == STEP_REVIVE ? "retries" : "purges", s->b);
        }
}

static void describe_machine(const Step *s, const char *span, char *ret, size_t size)
{
        const unsigned a = s->a, b = s->b;

        switch (s->kind) {
        case STEP_POWER_OFF:
                add(ret, size, "machine m%u loses power, for %s", a, span);
                break;
        case STEP_SUSPEND:
                add(ret, size, "machine m%u is suspended for %s", a, span);
                break;
        case STEP_PARTITION:
                add(ret, size, "nothing gets from m%u to m%u for %s", a, b, span);
                break;
        case STEP_SLOW_LINK:
                add(ret, size, "the link from m%u to m%u is slow for %s", a, b, span);
                break;
        case STEP_CLOCK:
                add(ret, size, "the clock of m%u steps %s by %s", a, b == 1 ? "back" : "forward", span);
                break;
        case STEP_DISK_FULL:
                add(ret, size, "the disk of m%u is full for %s", a, span);
                break;
        case STEP_DISK_SLOW:
                add(ret, size, "the disk of m%u is slow for %s", a, span);
                break;
        case STEP_DISK_HANG:
                add(ret, size, "the disk of m%u hangs for %s", a, span);
                break;
        default:
                add(ret, size, "operation %u of the disk of m%u from now fails", b, a);
                if (s->usec > 0)
                        add(ret, size, ", and all others for %s", span);
        }
}

static void describe_restart(const Step *s, const char *name, const char *span, char *ret, size_t size)
{
        switch (s->kind) {
        case STEP_KILL:
                add(ret, size, "%s is killed", name);
                break;
        case STEP_KILL_AT:
                add(ret, size, "%s will be killed at its call %u into the world", name, s->b);
                break;
        case STEP_KILL_AT_SYNC:
                add(ret, size, "%s will be killed right before or behind a sync, at moment %u of that kind",
                                name, s->b);
                break;
        case STEP_SYNC_ERROR:
                add(ret, size, "sync %u of %s from now fails, and it is killed soon after that", s->b, name);
                break;
        case STEP_TERMINATE:
                add(ret, size, "%s is told to stop", name);
                break;
        case STEP_FLIP:
                add(ret, size, "%s is killed, and a bit of its files flips", name);
                break;
        case STEP_RESTORE:
                add(ret, size, "%s is killed, and its files are restored from a backup", name);
                break;
        case STEP_FORGET:
                add(ret, size, "%s is killed and loses its registry", name);
                break;
        default:
                add(ret, size, "%s is killed, and a new receiver with its name takes its place", name);
        }
        add(ret, size, s->usec > 0 ? "; start after %s" : "; start at once", span);
}

static void describe_process(
                const Plan *p, const Step *s, const char *name, const char *span, char *ret, size_t size)
{
        char buffer[PROCESS_NAME_MAX];
        const char *other = plan_process_name(p, s->b, buffer);

        switch (s->kind) {
        case STEP_FREEZE:
                add(ret, size, "%s is frozen for %s", name, span);
                break;
        case STEP_RELOAD:
                add(ret, size, "%s is told to reload (values %u)", name, s->b);
                break;
        case STEP_DRAIN:
                add(ret, size, "%s drains for %s", name, span);
                break;
        case STEP_RESET:
                add(ret, size, "connections between %s and %s are reset", name, other);
                break;
        case STEP_BLACKHOLE:
                add(ret, size, "what %s writes to %s is lost, on the connections of this moment", name,
                                other);
                break;
        case STEP_STALL:
                add(ret, size, "what %s writes to %s comes %s late, on the connections of this moment", name,
                                other, span);
                break;
        case STEP_POWER_AT_SYNC:
                add(ret, size,
                                "the machine of %s will lose power right before or behind a sync of it, at "
                                "moment "
                                "%u of that kind, for %s",
                                name, s->b, span);
                break;
        case STEP_ORPHAN:
                add(ret, size,
                                "what %s writes comes %s late, and it will be killed at its call %u into "
                                "the world",
                                name, span, s->b);
                break;
        case STEP_LOSE_ANSWERS:
                add(ret, size, "%s gets no answers to its next %u HTTP requests", name, s->b);
                break;
        case STEP_CLONE:
                add(ret, size, "%s runs a second time, with a copy of its state, for %s", name, span);
                break;
        case STEP_MEMORY:
                add(ret, size, "one of %u allocations of %s fails, for %s", s->b, name, span);
                break;
        default:
                add(ret, size, "handlers of %s %s, for %s", name, mood_to_string((HandlerMood) s->b), span);
        }
}

void step_describe_deed(const Plan *p, const Step *s, char *ret, size_t size)
{
        char span[SPAN_MAX], name[PROCESS_NAME_MAX];

        ret[0] = 0;
        (void) format_span(span, s->usec);
        switch (s->kind) {
        case STEP_SEND ... STEP_INSIST:
                describe_load(s, ret, size);
                break;
        case STEP_POWER_OFF:
        case STEP_SUSPEND:
        case STEP_PARTITION:
        case STEP_SLOW_LINK:
        case STEP_CLOCK ... STEP_DISK_ERROR:
                describe_machine(s, span, ret, size);
                break;
        case STEP_KILL ... STEP_TERMINATE:
        case STEP_SYNC_ERROR:
        case STEP_FLIP:
        case STEP_RESTORE:
        case STEP_FORGET:
        case STEP_REPLACE:
                describe_restart(s, plan_process_name(p, s->a, name), span, ret, size);
                break;
        default:
                describe_process(p, s, plan_process_name(p, s->a, name), span, ret, size);
        }
}

void step_describe(const Plan *p, const Step *s, char *ret, size_t size)
{
        char deed[500];

        step_describe_deed(p, s, deed, sizeof deed);
        (void) snprintf(ret, size, "%u.%03u s: %s", (unsigned) (s->at / USEC_PER_SEC),
                        (unsigned) (s->at % USEC_PER_SEC / 1000), deed);
}

static void print_receiver(const Plan *p, unsigned i, FILE *to)
{
        fprintf(to, "  r%u on m%u, group %u, %u at once and %u in its queue%s\n", i,
                        p->machine_of_receiver[i], p->group_of_receiver[i], p->concurrency[i], p->queue[i],
                        p->activated[i] ? ", its sockets held by systemd" : "");
}

static void print_span(FILE *to, const char *what, uint64_t usec)
{
        char span[SPAN_MAX];

        fprintf(to, "  %s %s\n", what, format_span(span, usec));
}

void plan_print_group(const Plan *p, FILE *to)
{
        fprintf(to, "Seed %" PRIu64 ", profile %s: discovery on m%u", p->seed, p->profile,
                        p->machine_of_discovery);
        for (unsigned i = 0; i < p->n_clients; i++)
                fprintf(to, ", c%u on m%u", i, p->machine_of_client[i]);
        fputs("\n", to);
        for (unsigned i = 0; i < p->n_receivers; i++)
                print_receiver(p, i, to);
        print_span(to, "time limit of handlers", p->handler_timeout_usec);
        print_span(to, "time limit for a stop ", p->stop_timeout_usec);
        print_span(to, "lease                 ", p->lease_usec);
        print_span(to, "ack timeout           ", p->ack_timeout_usec);
        print_span(to, "backoff               ", p->backoff_usec);
        print_span(to, "backoff, at most      ", p->backoff_max_usec);
        print_span(to, "network delay, least  ", p->net_min_usec);
        print_span(to, "network delay, most   ", p->net_max_usec);
        print_span(to, "sync, least           ", p->sync_min_usec);
        print_span(to, "sync, most            ", p->sync_max_usec);
        fprintf(to, "  pieces on the network  %u bytes (0: whole)\n", p->net_piece_max);
        fprintf(to, "  messages in an outbox  %u, history %u\n", p->outbox_limit, p->history);
        print_span(to, "all faults end at     ", p->faults_end_usec);
        print_span(to, "patience after that   ", p->patience_usec);
}

void plan_print_steps(const Plan *p, FILE *to)
{
        char text[600];

        for (size_t i = 0; i < p->n_steps; i++) {
                step_describe(p, p->steps + i, text, sizeof text);
                fprintf(to, "%5u  %s\n", p->steps[i].index, text);
        }
}
