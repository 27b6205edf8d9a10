/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/manager.h"

#include <errno.h>
#include <stdarg.h>
#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/link/peers.h"
#include "client/state/transient.h"
#include "config.h"
#include "runtime/journal.h"
#include "runtime/log-control.h"

int bus_fail(sd_bus_message *call, const char *name, const char *format, ...)
{
        _cleanup_free_ char *full = str_format("org.ackgroup.Error.%s", name);
        char text[ERROR_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        return full ? sd_bus_reply_method_errorf(call, full, "%s", text) : -ENOMEM;
}

int bus_fail_look_up(sd_bus_message *call, const char *id, int r)
{
        switch (r) {
        case -ENOENT:
                return bus_fail(call, "NoSuchMessage", "No message \"%s\" is known", id);
        case -ENOTUNIQ:
                return bus_fail(call, "AmbiguousMessage",
                                "Several messages begin with \"%s\": give more of the id", id);
        case -EINVAL:
                return bus_fail(call, "InvalidArgument",
                                "\"%s\" is not a message id, nor at least 6 digits of one", id);
        default:
                return bus_fail(call, "Storage", "The outbox cannot be read: %s", strerror(-r));
        }
}

int bus_read_words(sd_bus_message *call, int (*fn)(const char *word, void *userdata, Error *error),
                void *userdata, Error *error)
{
        const char *word;
        int r;

        r = sd_bus_message_enter_container(call, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(call, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(call, "s", &word)) > 0)
                r = fn(word, userdata, error);
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        Client *c = &b->client;
        char id[SD_ID128_UUID_STRING_MAX];
        const struct {
                const char *name, *value;
        } values[] = {
                        {"Version", ACKGROUP_VERSION},
                        {"ClientId", sd_id128_to_uuid_string(c->id, id)},
                        {"Discovery", c->config.discovery},
                        {"DiscoveryState", discovery_state_to_string(c->discovery_state)},
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (str_equal(property, values[i].name))
                        return sd_bus_message_append(reply, "s", values[i].value);
        return -ENOENT;
}

static int get_receivers(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;

        return sd_bus_message_append(reply, "u", HASH_CNT(hh_name, b->client.peers.by_name));
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        Client *c = &b->client;
        const struct {
                const char *name;
                uint64_t value;
        } values[] = {
                        {"Waiting", c->messages.n_open},
                        {"DeadLetters", c->messages.n_dead},
                        {"Settled", c->messages.n_settled},
                        {"Attempts", c->messages.n_attempts},
                        {"OutboxLimit", c->config.outbox_limit},
                        {"AckTimeoutUSec", c->config.policy.ack_timeout_usec},
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (str_equal(property, values[i].name))
                        return sd_bus_message_append(reply, "t", values[i].value);
        return -ENOENT;
}

/* Who may call what is polkit's matter (client-bus-guard), not that of sd-bus. */
#define METHOD(name, in, out, fn)                                                                           \
        SD_BUS_METHOD_WITH_ARGS(name, SD_BUS_ARGS in, SD_BUS_RESULT out, fn, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable manager[] = {
                SD_BUS_VTABLE_START(0),
                METHOD("Send", ("s", mode, "s", target, "ay", payload, "a{sv}", options),
                                ("s", id, "o", message), bus_method_guarded),
                METHOD("SendText", ("s", mode, "s", target, "s", text, "a{sv}", options),
                                ("s", id, "o", message), bus_method_guarded),
                METHOD("OpenStream", ("a{sv}", options), ("h", socket), bus_method_guarded),
                SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_subscribe,
                                SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                bus_method_unsubscribe, SD_BUS_VTABLE_UNPRIVILEGED),
                METHOD("Wait", ("s", id, "t", timeout_usec),
                                ("s", state, "u", attempts, "s", receiver, "ay", reply, "s", error),
                                bus_method_wait),
                SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, bus_method_guarded,
                                SD_BUS_VTABLE_UNPRIVILEGED),
                METHOD("GetMessage", ("s", id), ("o", message), bus_method_get_message),
                METHOD("ListMessages", ("a{sv}", filter), ("a(sssssuttts)", messages, "s", next),
                                bus_method_list_messages),
                METHOD("ListReceivers", ("a{sv}", filter), ("a(sssa{ss}assub)", receivers),
                                bus_method_list_receivers),
                METHOD("ListDeliveries", ("s", id), ("a(sssutttsay)", deliveries),
                                bus_method_list_deliveries),
                METHOD("ListAttempts", ("s", id), ("a(usuttss)", attempts), bus_method_list_attempts),
                METHOD("Explain", ("s", id), ("s", why, "s", advice), bus_method_explain),
                SD_BUS_METHOD_WITH_ARGS("Retry", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, bus_method_guarded,
                                SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Purge", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, bus_method_guarded,
                                SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("s", receiver, "b", drain), SD_BUS_NO_RESULT,
                                bus_method_guarded, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("MessageEvent",
                                SD_BUS_ARGS("s", id, "s", event, "u", attempt, "s", receiver, "s", detail),
                                0),
                SD_BUS_SIGNAL_WITH_ARGS("ReceiverAdded", SD_BUS_ARGS("s", id, "s", name, "s", group), 0),
                SD_BUS_SIGNAL_WITH_ARGS("ReceiverRemoved", SD_BUS_ARGS("s", id, "s", name, "s", group), 0),
                SD_BUS_PROPERTY("Version", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("ClientId", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("Discovery", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("DiscoveryState", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Receivers", "u", get_receivers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Waiting", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("DeadLetters", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("Settled", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("Attempts", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("OutboxLimit", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("AckTimeoutUSec", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_VTABLE_END,
};

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
        DL_DELETE2(b->dirty, m, bus.prev, bus.next);
}

static void on_removed(Message *m, void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        forget_dirty(b, m);
        m->announced = false;
        if (bus_has_subscribers(b))
                (void) sd_bus_emit_object_removed(b->bus, message_path(m, path));
}

static void on_message_changed(Message *m, void *userdata)
{
        ClientBus *b = userdata;

        if (!m->bus.dirty && b->bus && bus_has_subscribers(b)) {
                m->bus.dirty = true;
                DL_APPEND2(b->dirty, m, bus.prev, bus.next);
                loop_defer(b->client.loop, &b->flush);
        }
        bus_wait_check(b, m, false);
}

static void on_message_saved(Message *m, void *userdata)
{
        bus_wait_check(userdata, m, true);
}

/* One signal for all that happened to a message in this iteration. */
static void on_flush(void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        while (b->dirty) {
                Message *m = b->dirty;

                forget_dirty(b, m);
                (void) sd_bus_emit_properties_changed(b->bus, message_path(m, path), MESSAGE_INTERFACE,
                                "State", "Attempts", "Receiver", "ReceiverName", "LastError", "Progress",
                                "NextRetry", "Settled", "Reply", "PossibleDuplicate", NULL);
        }
}

static void log_event(const Message *m, const char *event, uint32_t attempt, const char *detail)
{
        static const struct {
                const char *name;
                JournalEvent event;
        } events[] = {
                        {"accepted", JOURNAL_ACCEPTED},
                        {"sent", JOURNAL_SENT},
                        {"no-ack", JOURNAL_NO_ACK},
                        {"failed", JOURNAL_FAILED},
                        {"busy", JOURNAL_BUSY},
                        {"disconnected", JOURNAL_DISCONNECTED},
                        {"queued", JOURNAL_MOVED},
                        {"acked", JOURNAL_ACKED},
                        {"member-acked", JOURNAL_ACKED},
                        {"rejected", JOURNAL_REJECTED},
                        {"member-rejected", JOURNAL_REJECTED},
                        {"cancelled", JOURNAL_CANCELLED},
                        {"member-cancelled", JOURNAL_CANCELLED},
                        {"dead", JOURNAL_DEAD},
                        {"member-dead", JOURNAL_DEAD},
        };
        char id[SD_ID128_UUID_STRING_MAX];
        const char *receiver = message_receiver_name(m), *at = receiver[0] ? " at " : "";
        const char *colon = detail[0] ? ": " : "";
        const JournalFields fields = {id, receiver, NULL, NULL, detail, attempt};

        for (size_t i = 0; i < ELEMENTSOF(events); i++)
                if (str_equal(event, events[i].name)) {
                        if (!journal_wants(events[i].event))
                                return;
                        (void) message_id(m, id);
                        journal_event(events[i].event, &fields,
                                        "Message %s: %s, attempt %" PRIu32 "%s%s%s%s", id, event, attempt,
                                        at, receiver, colon, detail);
                        return;
                }
        if (log_get_level() < LOG_DEBUG)
                return;
        (void) message_id(m, id);
        log_debug("Message %s: %s, attempt %" PRIu32 "%s%s%s%s", id, event, attempt, at, receiver, colon,
                        detail);
}

static void on_event(Message *m, const char *event, uint32_t attempt, const char *detail, void *userdata)
{
        ClientBus *b = userdata;
        char id[SD_ID128_UUID_STRING_MAX];

        log_event(m, event, attempt, detail);
        if (bus_has_subscribers(b))
                (void) sd_bus_emit_signal(b->bus, BUS_PATH, MANAGER_INTERFACE, "MessageEvent", "ssuss",
                                message_id(m, id), event, attempt, message_receiver_name(m), detail);
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

/* The name is taken when it is known who is there, or that nobody can say: the call that activated this
 * service then finds its receiver. */
static void on_changed(void *userdata)
{
        ClientBus *b = userdata;
        Client *c = &b->client;
        int r;

        loop_notify_status(c->loop, "%u receivers, %" PRIu64 " messages waiting, discovery %s",
                        HASH_CNT(hh_name, c->peers.by_name), c->messages.n_open,
                        discovery_state_to_string(c->discovery_state));
        if (!b->bus)
                return;
        if (b->named) {
                (void) sd_bus_emit_properties_changed(b->bus, BUS_PATH, MANAGER_INTERFACE, "DiscoveryState",
                                "Receivers", "OutboxLimit", "AckTimeoutUSec", NULL);
                return;
        }
        if (c->discovery_state == DISCOVERY_UNKNOWN)
                return;
        r = sd_bus_request_name(b->bus, BUS_NAME, 0);
        if (r < 0) {
                log_error_errno(r, r == -EEXIST ? "Another client is running on this bus"
                                                : "Cannot take the bus name " BUS_NAME);
                loop_exit(c->loop, EXIT_FAILURE);
                return;
        }
        b->named = true;
        loop_notify_ready(c->loop);
}

static int on_bus_lost(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;

        if (!b->client.stopping) {
                log_error("The bus is gone");
                loop_exit(b->client.loop, EXIT_FAILURE);
        }
        return 0;
}

static int open_bus(ClientBus *b)
{
        sd_event *event = loop_event(b->client.loop);
        int r;

        r = b->system ? sd_bus_open_system_with_description(&b->bus, "client")
                      : sd_bus_open_user_with_description(&b->bus, "client");
        if (r >= 0)
                r = sd_bus_add_object_vtable(b->bus, NULL, BUS_PATH, MANAGER_INTERFACE, manager, b);
        if (r >= 0)
                r = sd_bus_add_object_manager(b->bus, NULL, BUS_PATH);
        if (r >= 0)
                r = bus_messages_add(b);
        if (r >= 0)
                r = bus_subscribers_init(b);
        if (r >= 0)
                r = log_control_add(b->bus, "ackgroup-client");
        if (r >= 0)
                r = sd_bus_match_signal(b->bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                "org.freedesktop.DBus.Local", "Disconnected", on_bus_lost, b);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, event, SD_EVENT_PRIORITY_NORMAL);
        return r;
}

int client_bus_start(ClientBus *b, Error *error)
{
        const ClientObserver observer = {on_added, on_removed, on_message_changed, on_event,
                        on_message_saved, on_receiver, on_changed, b};
        int r;

        b->flush = (LoopWork){.run = on_flush, .userdata = b};
        r = client_start(&b->client, &observer, error);
        if (r < 0)
                return r;
        r = bus_waits_init(b);
        if (r >= 0)
                r = open_bus(b);
        if (r < 0)
                return error_set(error, r, "cannot connect to the %s bus: %s", b->system ? "system" : "user",
                                strerror(-r));
        return 0;
}

void client_bus_clear(ClientBus *b)
{
        /* What is on its way to the disk is still answered. */
        b->client.stopping = true;
        transient_run(&b->client);
        b->client.db = database_close(&b->client.database, b->client.db);
        bus_reads_clear(b);
        bus_waits_clear(b);
        bus_guards_clear(b);
        if (b->bus)
                (void) sd_bus_flush(b->bus);
        sd_bus_track_unref(b->subscribers);
        sd_bus_close_unref(b->bus);
        b->bus = NULL;
        loop_cancel(b->client.loop, &b->flush);
        client_clear(&b->client);
}
