/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "client/bus/subscribe.h"
#include "client/bus/view.h"
#include "client/bus/wait.h"
#include "client/intake/resolve.h"
#include "model/message-event.h"
#include "runtime/journal.h"
#include "runtime/notify.h"

static void on_added(Message *m, void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        if (bus_has_subscribers(b))
                (void) sd_bus_emit_object_added(b->bus, message_path(m, path));
}

static void forget_dirty(ClientBus *b, Message *m)
{
        if (!m->bus.dirty)
                return;
        m->bus.dirty = false;
        DL_DELETE2(b->signals.dirty, m, bus.prev, bus.next);
}

static void on_removed(Message *m, void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        forget_dirty(b, m);
        if (bus_has_subscribers(b))
                (void) sd_bus_emit_object_removed(b->bus, message_path(m, path));
}

static void on_message_changed(Message *m, void *userdata)
{
        ClientBus *b = userdata;

        if (!m->bus.dirty && bus_has_subscribers(b)) {
                m->bus.dirty = true;
                DL_APPEND2(b->signals.dirty, m, bus.prev, bus.next);
                loop_defer(b->client->loop, &b->signals.flush);
        }
        bus_wait_check(b, m, false);
}

static void on_message_saved(Message *m, void *userdata)
{
        bus_wait_check(userdata, m, true);
}

/* Sends one signal for all changes of a message in this iteration. */
static void on_flush(void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        while (b->signals.dirty) {
                Message *m = b->signals.dirty;

                forget_dirty(b, m);
                (void) sd_bus_emit_properties_changed(b->bus, message_path(m, path), MESSAGE_INTERFACE,
                                "State", "Attempts", "Receiver", "ReceiverName", "LastError", "Progress",
                                "NextRetry", "Settled", "Reply", "ReplyCut", "PossibleDuplicate", NULL);
        }
}

static JournalEvent journal_event_of(MessageEvent event)
{
        switch (event) {
        case EVENT_ACCEPTED:
                return JOURNAL_ACCEPTED;
        case EVENT_SENT:
                return JOURNAL_SENT;
        case EVENT_NO_ACK:
                return JOURNAL_NO_ACK;
        case EVENT_FAILED:
                return JOURNAL_FAILED;
        case EVENT_BUSY:
                return JOURNAL_BUSY;
        case EVENT_DISCONNECTED:
                return JOURNAL_DISCONNECTED;
        case EVENT_QUEUED:
                return JOURNAL_MOVED;
        case EVENT_ACKED:
        case EVENT_MEMBER_ACKED:
                return JOURNAL_ACKED;
        case EVENT_REJECTED:
        case EVENT_MEMBER_REJECTED:
                return JOURNAL_REJECTED;
        case EVENT_CANCELLED:
        case EVENT_MEMBER_CANCELLED:
                return JOURNAL_CANCELLED;
        case EVENT_DEAD:
        case EVENT_MEMBER_DEAD:
                return JOURNAL_DEAD;
        default:
                return _JOURNAL_EVENT_MAX; /* only in the debug log */
        }
}

static void log_event(const Message *m, MessageEvent event, uint32_t attempt, const char *detail)
{
        JournalEvent kind = journal_event_of(event);
        const char *receiver = m->record.receiver_name, *at = receiver[0] ? " at " : "";
        const char *word = message_event_to_string(event), *colon = detail[0] ? ": " : "";
        char id[SD_ID128_UUID_STRING_MAX];
        const JournalFields fields = {id, receiver, NULL, NULL, detail, attempt};

        if (kind == _JOURNAL_EVENT_MAX ? log_get_level() < LOG_DEBUG : !journal_wants(kind))
                return;
        (void) message_id(m, id);
        if (kind == _JOURNAL_EVENT_MAX)
                log_debug("Message %s: %s, attempt %" PRIu32 "%s%s%s%s", id, word, attempt, at, receiver,
                                colon, detail);
        else
                journal_event(kind, &fields, "Message %s: %s, attempt %" PRIu32 "%s%s%s%s", id, word,
                                attempt, at, receiver, colon, detail);
}

static void on_event(Message *m, MessageEvent event, uint32_t attempt, const char *detail, void *userdata)
{
        ClientBus *b = userdata;
        char id[SD_ID128_UUID_STRING_MAX];

        log_event(m, event, attempt, detail);
        if (bus_has_subscribers(b))
                (void) sd_bus_emit_signal(b->bus, BUS_PATH, MANAGER_INTERFACE, "MessageEvent", "ssuss",
                                message_id(m, id), message_event_to_string(event), attempt,
                                m->record.receiver_name, detail);
}

static void on_receiver(const ReceiverInfo *info, bool listed, void *userdata)
{
        ClientBus *b = userdata;
        char id[SD_ID128_UUID_STRING_MAX];

        log_info("Receiver %s of group %s is %s", info->name, info->group, listed ? "there" : "gone");
        if (b->bus)
                (void) sd_bus_emit_signal(b->bus, BUS_PATH, MANAGER_INTERFACE,
                                listed ? "ReceiverAdded" : "ReceiverRemoved", "sss",
                                sd_id128_to_uuid_string(info->id, id), info->name, info->group);
}

/* The name: the answers of the bus to RequestName. */
#define NAME_IS_OURS  1u
#define NAME_WAS_OURS 4u

static void take_name(ClientBus *b);

static void end_without_name(ClientBus *b, const char *why)
{
        if (why)
                log_error("Cannot take the bus name " BUS_NAME ": %s", why);
        else
                log_error("Another client is running on this bus");
        loop_exit(b->client->loop, EXIT_FAILURE);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        ClientBus *b = userdata;
        uint32_t answer = 0;

        b->signals.name_question = sd_bus_slot_unref(b->signals.name_question);
        if (sd_bus_is_open(b->bus) <= 0) /* bus/connect will try again */
                return 0;
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY) ||
                        sd_bus_message_is_method_error(reply, SD_BUS_ERROR_TIMEOUT)) {
                take_name(b); /* the bus is slow */
                return 0;
        }
        if (e || sd_bus_message_read(reply, "u", &answer) < 0)
                end_without_name(b, e ? e->message : "the answer of the bus cannot be read");
        else if (answer != NAME_IS_OURS && answer != NAME_WAS_OURS)
                end_without_name(b, NULL);
        else {
                b->signals.named = true;
                log_info("On the bus as " BUS_NAME);
                notify_ready();
        }
        return 0;
}

/* Requests the bus name only after discovery has listed the receivers or failed to answer. So the call that
 * started this service finds its receiver. */
static void take_name(ClientBus *b)
{
        int r;

        if (b->client->discovery_state == DISCOVERY_UNKNOWN || b->signals.name_question ||
                        sd_bus_is_open(b->bus) <= 0)
                return;
        r = sd_bus_request_name_async(b->bus, &b->signals.name_question, BUS_NAME, 0, on_name, b);
        if (r < 0 && sd_bus_is_open(b->bus) > 0)
                end_without_name(b, strerror(-r));
}

static void on_changed(void *userdata)
{
        ClientBus *b = userdata;
        Client *c = b->client;

        notify_status("%u receivers, %" PRIu64 " messages waiting, discovery %s",
                        HASH_CNT(hh_name, c->peers.by_name), c->messages.n_open,
                        discovery_state_to_string(c->discovery_state));
        if (!b->bus)
                return;
        if (b->signals.named)
                (void) sd_bus_emit_properties_changed(b->bus, BUS_PATH, MANAGER_INTERFACE, "DiscoveryState",
                                "Receivers", "OutboxLimit", "AckTimeoutUSec", NULL);
        else
                take_name(b);
}

ClientObserver bus_signals_observer(ClientBus *b)
{
        return (ClientObserver){
                        .message_added = on_added,
                        .message_removed = on_removed,
                        .message_changed = on_message_changed,
                        .message_event = on_event,
                        .message_saved = on_message_saved,
                        .receiver_listed = on_receiver,
                        .changed = on_changed,
                        .userdata = b,
        };
}

void bus_signals_init(ClientBus *b)
{
        b->signals.flush = (LoopWork){.run = on_flush, .userdata = b};
}

void bus_signals_lost(ClientBus *b)
{
        b->signals.name_question = sd_bus_slot_unref(b->signals.name_question);
        b->signals.named = false;
        while (b->signals.dirty)
                forget_dirty(b, b->signals.dirty);
}

void bus_signals_connected(ClientBus *b)
{
        take_name(b);
}

void bus_signals_clear(ClientBus *b)
{
        loop_cancel(b->client->loop, &b->signals.flush);
        b->signals.name_question = sd_bus_slot_unref(b->signals.name_question);
}
