/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/bus/manager.h"
#include "client/engine/deliver.h"

/* Calls that wait for an end, in total and of one caller. Those that wait for the disk only are not counted:
 * they end by themselves. */
#define WAITERS_MAX   4096u
#define OF_CALLER_MAX 1024u

/* One call that is answered later. It ends with its message, its time, or its caller. */
struct Waiter {
        ClientBus *bus;
        sd_bus_message *call;
        sd_bus_track *caller;
        Message *message; /* pinned; NULL while it is looked up */
        bool saved;       /* waits for the disk, not for the end */
        HeapItem deadline;
        uint64_t timeout_usec;
        Waiter *prev, *next; /* of the message */
        Waiter *all_prev, *all_next;
};

static void arm(ClientBus *b)
{
        HeapItem *first = heap_first(&b->deadlines);

        (void) timer_arm_at(&b->deadline_timer, first ? first->due : USEC_INFINITY);
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
        heap_remove(&b->deadlines, &w->deadline);
        sd_bus_track_unref(w->caller);
        sd_bus_message_unref(w->call);
        if (!w->saved) {
                DL_DELETE2(b->waiters, w, all_prev, all_next);
                b->n_waiters--;
        }
        free(w);
        if (m)
                message_unpin(m);
}

static int on_caller_gone(sd_bus_track *track, void *userdata)
{
        Waiter *w = userdata;

        /* While it is looked up the answer goes nowhere, which does no harm. */
        if (w->message)
                waiter_free(w);
        return 0;
}

static void on_deadline(void *userdata)
{
        ClientBus *b = userdata;
        HeapItem *first;

        while ((first = heap_first(&b->deadlines)) && first->due <= now_usec(CLOCK_BOOTTIME)) {
                Waiter *w = CONTAINER_OF(first, Waiter, deadline);
                (void) bus_fail(w->call, "Timeout", "Not done yet; it stays in the outbox and is tried on");
                waiter_free(w);
        }
        arm(b);
}

static unsigned count_of(const ClientBus *b, const char *sender)
{
        const Waiter *w;
        unsigned n = 0;

        DL_FOREACH2(b->waiters, w, all_next)
        n += str_equal(sd_bus_message_get_sender(w->call), sender);
        return n;
}

static int waiter_new(ClientBus *b, sd_bus_message *call, uint64_t timeout_usec, bool saved, Waiter **ret)
{
        Waiter *w;

        if (!saved && (b->n_waiters >= WAITERS_MAX ||
                                      count_of(b, sd_bus_message_get_sender(call)) >= OF_CALLER_MAX))
                return -EUSERS;
        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->bus = b;
        w->call = sd_bus_message_ref(call);
        w->saved = saved;
        w->timeout_usec = timeout_usec == 0 ? USEC_INFINITY : timeout_usec;
        heap_item_init(&w->deadline);
        if (!saved) {
                DL_APPEND2(b->waiters, w, all_prev, all_next);
                b->n_waiters++;
        }
        if (sd_bus_message_get_sender(call) && sd_bus_track_new(b->bus, &w->caller, on_caller_gone, w) >= 0)
                (void) sd_bus_track_add_sender(w->caller, call);
        *ret = w;
        return 0;
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
        (void) !heap_put(&b->deadlines, &w->deadline, usec_add(now_usec(CLOCK_BOOTTIME), w->timeout_usec));
        arm(b);
}

static void answer_end(Waiter *w)
{
        Message *m = w->message;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(w->call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "sus", delivery_state_to_string(m->record.state),
                                m->record.attempts, message_receiver_name(m));
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', m->record.reply, m->record.reply_size);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", m->record.error ?: "");
        if (r >= 0)
                (void) sd_bus_send(w->bus->bus, reply, NULL);
        sd_bus_message_unref(reply);
}

void bus_wait_check(ClientBus *b, Message *m, bool saved)
{
        Waiter *w, *next;
        bool synced = !m->save.running && !m->save.again && !m->save.refused;
        bool final = delivery_state_is_final(m->record.state) && synced;

        message_pin(m);
        DL_FOREACH_SAFE((Waiter *) m->bus.waiters, w, next) {
                if (w->saved ? !saved || !synced : !final)
                        continue;
                if (w->saved)
                        (void) sd_bus_reply_method_return(w->call, NULL);
                else
                        answer_end(w);
                waiter_free(w);
        }
        message_unpin(m);
}

static void on_wait_found(Message *m, int r, void *userdata)
{
        Waiter *w = userdata;
        const char *id = NULL;

        if (r < 0) {
                (void) sd_bus_message_rewind(w->call, true);
                (void) sd_bus_message_read(w->call, "s", &id);
                (void) bus_fail_look_up(w->call, id ?: "", r);
                waiter_free(w);
                return;
        }
        attach(w, m);
        bus_wait_check(w->bus, m, false);
}

int bus_method_wait(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        uint64_t timeout;
        const char *id;
        Waiter *w;
        int r;

        r = sd_bus_message_read(call, "st", &id, &timeout);
        if (r < 0)
                return r;
        r = waiter_new(userdata, call, timeout, false, &w);
        if (r < 0)
                return bus_fail_too_many(call, r);
        message_look_up(&w->bus->client, id, on_wait_found, w);
        return 1;
}

static void cancel(Waiter *w, Message *m)
{
        attach(w, m);
        if (deliver_cancel(m) >= 0)
                return;
        (void) bus_fail(w->call, "AlreadySettled", "The message is %s already",
                        delivery_state_to_string(m->record.state));
        waiter_free(w);
}

static void on_cancel_found(Message *m, int r, void *userdata)
{
        if (r < 0)
                on_wait_found(NULL, r, userdata);
        else
                cancel(userdata, m);
}

int bus_method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        const char *id;
        Waiter *w;
        int r;

        r = sd_bus_message_read(call, "s", &id);
        if (r < 0)
                return r;
        r = waiter_new(userdata, call, 0, true, &w);
        if (r < 0)
                return bus_fail_too_many(call, r);
        message_look_up(&w->bus->client, id, on_cancel_found, w);
        return 1;
}

int bus_wait_cancelled(ClientBus *b, Message *m, sd_bus_message *call)
{
        Waiter *w;
        int r;

        r = waiter_new(b, call, 0, true, &w);
        if (r < 0)
                return bus_fail_too_many(call, r);
        cancel(w, m);
        return 1;
}

int bus_wait_saved(ClientBus *b, Message *m, sd_bus_message *call)
{
        Waiter *w;
        int r;

        r = waiter_new(b, call, 0, true, &w);
        if (r < 0)
                return bus_fail_too_many(call, r);
        attach(w, m);
        return 1;
}

int bus_waits_init(ClientBus *b)
{
        return timer_init(&b->deadline_timer, b->client.loop, "wait", on_deadline, b);
}

void bus_waits_clear(ClientBus *b)
{
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&b->client.messages.index, &cursor))) {
                Message *m = CONTAINER_OF(i, Message, by_key);
                message_pin(m);
                while (m->bus.waiters) {
                        Waiter *w = m->bus.waiters;
                        (void) bus_fail(w->call, "Disconnected",
                                        "The client stops; the message stays in its outbox");
                        waiter_free(w);
                }
                m->pins--; /* not released: the walk goes on over all of them */
        }
        heap_clear(&b->deadlines);
        timer_clear(&b->deadline_timer);
}
