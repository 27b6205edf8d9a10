/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world/bound.h"

#define LOOK_AGAIN_USEC USEC_PER_SEC

static void settle(Dial *d, int error)
{
        event_unset(&d->step);
        event_unset(&d->deadline);
        d->is_settled = true;
        d->error = error;
        process_wake(d->process);
}

static Bound *target(const Dial *d, Machine **ret_to)
{
        return bound_find(process_machine(d->process), &d->address, ret_to);
}

static void establish(Dial *d)
{
        Machine *to;
        const Bound *b = target(d, &to);

        d->socket = socket_connect(d->process, b ? b->process : NULL, to, &d->address, d->silence_usec);
        settle(d, 0);
}

static void then(Dial *d, void (*fn)(void *userdata), uint64_t usec)
{
        d->step.fn = fn;
        event_set(&d->step, world_now() + usec);
}

static void send_syn(void *userdata);

static void send_again(Dial *d)
{
        then(d, send_syn, SYN_PAUSE_USEC << MIN(d->n_sent, SYN_DOUBLINGS_MAX));
        d->n_sent++;
}

static void on_answer(Dial *d, void (*fn)(Dial *d))
{
        Machine *to;

        (void) target(d, &to);
        if (link_carries(link_between(to, process_machine(d->process))))
                fn(d);
        else
                send_again(d);
}

static void refused(Dial *d)
{
        settle(d, -ECONNREFUSED);
}

static void on_refused(void *userdata)
{
        on_answer(userdata, refused);
}

static void on_accepted(void *userdata)
{
        on_answer(userdata, establish);
}

static void on_syn(void *userdata)
{
        Dial *d = userdata;
        Machine *to, *own = process_machine(d->process);
        const Bound *b = target(d, &to);

        if (!link_carries(link_between(own, to)) || (bound_is_open(b) && bound_is_full(b)))
                send_again(d);
        else
                then(d, bound_is_open(b) ? on_accepted : on_refused, link_delay(link_between(to, own)));
}

static void send_syn(void *userdata)
{
        Dial *d = userdata;
        Machine *to, *own = process_machine(d->process);

        (void) target(d, &to);
        if (to && machine_may_run(own))
                then(d, on_syn, link_delay(link_between(own, to)));
        else
                send_again(d);
}

static void on_deadline(void *userdata)
{
        Dial *d = userdata;

        /* The kernel of a suspended machine does not run. */
        if (!machine_may_run(process_machine(d->process)))
                event_set(&d->deadline, world_now() + LOOK_AGAIN_USEC);
        else
                settle(d, -ETIMEDOUT);
}

static void dial(Dial *d)
{
        Machine *own = process_machine(d->process), *to;
        const Bound *b = target(d, &to);

        d->is_settled = false;
        d->n_sent = 0;
        if (d->address.kind == ADDRESS_TCP) {
                event_set(&d->deadline, world_now() + d->silence_usec);
                send_syn(d);
        } else if (to != own || !b || !b->has_file)
                settle(d, -ENOENT);
        else if (!bound_is_open(b))
                settle(d, -ECONNREFUSED);
        else if (bound_is_full(b))
                settle(d, -EAGAIN);
        else
                establish(d);
}

bool dial_next(Dial *d)
{
        const Endpoint *e;

        if (d->next_endpoint >= d->n_endpoints)
                return false;
        e = d->endpoints + d->next_endpoint++;
        (void) address_from_sockaddr((const struct sockaddr *) &e->address, e->size, &d->address);
        dial(d);
        return true;
}

static void on_looked_up(const LookupAnswer *answer, void *userdata)
{
        Dial *d = userdata;

        {
                HOST_SCOPE;
                d->endpoints = calloc(answer->n + 1, sizeof *d->endpoints);
                assert(d->endpoints);
        }
        memcpy(d->endpoints, answer->endpoints, answer->n * sizeof *d->endpoints);
        d->n_endpoints = answer->n;
        if (!dial_next(d))
                settle(d, answer->error < 0 ? answer->error : -EHOSTUNREACH);
        d->lookup = lookup_free(d->lookup);
}

int dial_begin(Dial *d, Loop *loop, const Address *address, uint64_t silence_usec)
{
        struct sockaddr_storage ss;
        socklen_t n;

        *d = (Dial){.loop = loop,
                        .process = process_current(),
                        .address = *address,
                        .silence_usec = silence_usec};
        d->step = (WorldCall){.userdata = d};
        d->deadline = (WorldCall){.fn = on_deadline, .userdata = d};
        heap_item_init(&d->step.item);
        heap_item_init(&d->deadline.item);
        if (address->kind == ADDRESS_TCP && address_to_sockaddr(address, &ss, &n) < 0)
                return lookup_start(loop, address, on_looked_up, d, &d->lookup);
        dial(d);
        return 0;
}

void dial_end(Dial *d)
{
        d->lookup = lookup_free(d->lookup);
        event_unset(&d->step);
        event_unset(&d->deadline);
        free(d->endpoints);
        d->endpoints = NULL;
}
