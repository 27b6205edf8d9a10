/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/wait.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/bus/caller.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"
#include "client/engine/fanout.h"
#include "client/intake/lookup.h"
#include "client/state/message.h"

/* Limits of calls that wait for the end of a message. Calls that wait for the disk do not count: they always
 * end soon. */
#define WAITERS_MAX   4096u /* in total */
#define OF_CALLER_MAX 1024u

struct Waiter {
        ClientBus *bus;
        sd_bus_message *call;
        CallerItem caller;
        Message *message;                    /* pinned; NULL during the look-up */
        bool gone;                           /* its caller has left during the look-up */
        bool saved;                          /* waits for the disk, not for the end of the message */
        void (*done)(int r, void *userdata); /* instead of a reply to `call`; then there is none */
        void *userdata;
        bool named; /* gets the end as a dictionary */
        HeapItem deadline;
        uint64_t timeout_usec;
        Waiter *prev, *next; /* of the message */
        Waiter *all_prev, *all_next;
};

static void arm(ClientBus *b)
{
        HeapItem *first = heap_first(&b->wait.deadlines);

        (void) timer_arm_at(&b->wait.timer, first ? first->due : USEC_INFINITY);
}

static void waiter_free(Waiter *w)
{
        ClientBus *b = w->bus;
        Message *m = w->message;

        if (m) {
                Waiter *head = m->bus.waiters;
                DL_DELETE(head, w);
                m->bus.waiters = head;
        }
        heap_remove(&b->wait.deadlines, &w->deadline);
        sd_bus_message_unref(w->call);
        DL_DELETE2(b->wait.all, w, all_prev, all_next);
        b->wait.n_counted -= !w->saved;
        if (w->caller.caller)
                w->caller.caller->n_waits -= !w->saved;
        bus_caller_release(&w->caller);
        free(w);
        if (m)
                message_unpin(m);
}

static void on_caller_gone(CallerItem *item, void *userdata)
{
        Waiter *w = userdata;

        /* The end of the look-up needs it. */
        w->gone = !w->message;
        if (w->message)
                waiter_free(w);
}

static void on_deadline(void *userdata)
{
        ClientBus *b = userdata;
        HeapItem *first;

        while ((first = heap_first(&b->wait.deadlines)) && first->due <= now_usec(CLOCK_BOOTTIME)) {
                Waiter *w = CONTAINER_OF(first, Waiter, deadline);
                (void) bus_fail(w->call, "Timeout",
                                "Not done yet; the message stays in the outbox and is tried again");
                waiter_free(w);
        }
        arm(b);
}

static bool is_too_many(const Waiter *w)
{
        const Caller *caller = w->caller.caller;

        return !w->saved &&
               (w->bus->wait.n_counted > WAITERS_MAX || (caller && caller->n_waits > OF_CALLER_MAX));
}

static void answer_saved(const Waiter *w)
{
        if (w->done)
                w->done(0, w->userdata);
        else
                (void) sd_bus_reply_method_return(w->call, NULL);
}

static int waiter_new(ClientBus *b, sd_bus_message *call, uint64_t timeout_usec, bool saved, Waiter **ret)
{
        Waiter *w = calloc(1, sizeof *w);
        int r;

        if (!w)
                return -ENOMEM;
        w->bus = b;
        w->call = sd_bus_message_ref(call);
        w->saved = saved;
        w->timeout_usec = timeout_usec == 0 ? USEC_INFINITY : timeout_usec;
        heap_item_init(&w->deadline);
        DL_APPEND2(b->wait.all, w, all_prev, all_next);
        b->wait.n_counted += !saved;
        w->caller = (CallerItem){.gone = on_caller_gone, .userdata = w};
        r = call ? bus_caller_keep(b, call, &w->caller) : 0;
        if (w->caller.caller)
                w->caller.caller->n_waits += !saved;
        if (r >= 0 && is_too_many(w))
                r = -EUSERS;
        if (r < 0)
                waiter_free(w);
        else
                *ret = w;
        return r;
}

static void attach(Waiter *w, Message *m)
{
        ClientBus *b = w->bus;
        Waiter *head = m->bus.waiters;

        message_pin(m);
        w->message = m;
        DL_APPEND(head, w);
        m->bus.waiters = head;
        if (w->timeout_usec == USEC_INFINITY)
                return;
        (void) !heap_put(&b->wait.deadlines, &w->deadline,
                        usec_add(now_usec(CLOCK_BOOTTIME), w->timeout_usec));
        arm(b);
}

static void answer_end(Waiter *w)
{
        Message *m = w->message;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(w->call, &reply);
        if (r >= 0 && w->named) {
                r = view_append_end(reply, &m->record);
                bus_send_reply(w->call, reply, r);
                return;
        }
        if (r >= 0)
                r = sd_bus_message_append(reply, "sus", delivery_state_to_string(m->record.state),
                                m->record.attempts, m->record.receiver_name);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', m->record.reply, m->record.reply_size);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", m->record.error ?: "");
        bus_send_reply(w->call, reply, r);
}

void bus_wait_check(ClientBus *b, Message *m, bool saved)
{
        Waiter *w, *next;
        bool synced = message_is_synced(m);
        bool final = delivery_state_is_final(m->record.state) && synced;

        message_pin(m);
        DL_FOREACH_SAFE((Waiter *) m->bus.waiters, w, next) {
                if (w->saved ? !saved || !synced : !final)
                        continue;
                if (w->saved)
                        answer_saved(w);
                else
                        answer_end(w);
                waiter_free(w);
        }
        message_unpin(m);
}

static void on_wait_found(Message *m, int r, void *userdata)
{
        Waiter *w = userdata;

        if (r < 0)
                (void) bus_fail_look_up(w->call, r);
        if (r < 0 || w->gone) {
                waiter_free(w);
                return;
        }
        attach(w, m);
        bus_wait_check(w->bus, m, false);
}

int bus_method_wait(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        uint64_t timeout;
        const char *id;
        Waiter *w;
        int r;

        r = sd_bus_message_read(call, "st", &id, &timeout);
        if (r < 0)
                return r;
        r = waiter_new(b, call, timeout, false, &w);
        if (r == -EUSERS)
                return bus_fail_too_many(call, r);
        if (r < 0)
                return r;
        w->named = sd_bus_message_is_method_call(call, NULL, "WaitForEnd") > 0;
        message_look_up(b->client, id, on_wait_found, w);
        return 1;
}

static int wait_saved(ClientBus *b, Message *m, sd_bus_message *call, Waiter **ret)
{
        int r = waiter_new(b, call, 0, true, ret);

        if (r >= 0)
                attach(*ret, m);
        return r;
}

int bus_wait_saved(ClientBus *b, Message *m, sd_bus_message *call)
{
        Waiter *w;
        int r = wait_saved(b, m, call, &w);

        return r < 0 ? r : 1;
}

int bus_wait_saved_then(ClientBus *b, Message *m, void (*done)(int r, void *userdata), void *userdata)
{
        Waiter *w;
        int r = wait_saved(b, m, NULL, &w);

        if (r < 0)
                return r;
        w->done = done;
        w->userdata = userdata;
        return 0;
}

int bus_wait_cancelled(ClientBus *b, Message *m, sd_bus_message *call)
{
        Waiter *w;
        int r;

        /* Wait first, then cancel: a message that is in memory only is saved at once. */
        r = wait_saved(b, m, call, &w);
        if (r < 0)
                return r;
        if (message_cancel(m) >= 0)
                return 1;
        r = bus_fail(call, "AlreadySettled", "The message is %s already",
                        delivery_state_to_string(m->record.state));
        waiter_free(w);
        return r;
}

int bus_wait_init(ClientBus *b)
{
        return timer_init(&b->wait.timer, b->client->loop, "wait", on_deadline, b);
}

void bus_wait_clear(ClientBus *b)
{
        Waiter *w;

        while ((w = b->wait.all)) {
                if (w->done)
                        w->done(-ESHUTDOWN, w->userdata);
                else
                        (void) bus_fail(w->call, "Disconnected",
                                        "The client stops; the message stays in its outbox");
                waiter_free(w);
        }
        heap_clear(&b->wait.deadlines);
        timer_clear(&b->wait.timer);
}
