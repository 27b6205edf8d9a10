/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-bus.h"

#include <errno.h>
#include <stdarg.h>
#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/client-peer.h"
#include "client/client-submit.h"
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

static void on_submitted(Message *m, int r, void *userdata)
{
        sd_bus_message *call = userdata;
        char id[SD_ID128_UUID_STRING_MAX], path[MESSAGE_PATH_MAX];

        if (r < 0)
                (void) bus_fail(call, "Storage",
                                "The message is not accepted, the outbox cannot be written: %s",
                                strerror(-r));
        else
                (void) sd_bus_reply_method_return(call, "so", message_id(m, id), message_path(m, path));
        sd_bus_message_unref(call);
}

static int submit(ClientBus *b, sd_bus_message *call, const Submission *s)
{
        static const struct {
                int r;
                const char *name;
        } names[] = {
                        {-ENOENT,    "NoSuchReceiver"   },
                        {-ENOTUNIQ,  "AmbiguousReceiver"},
                        {-EDQUOT,    "OutboxFull"       },
                        {-EMSGSIZE,  "PayloadTooLarge"  },
                        {-EINVAL,    "InvalidArgument"  },
                        {-ESHUTDOWN, "Disconnected"     },
        };
        Error error = {};
        int r;

        r = client_submit(&b->client, s, on_submitted, sd_bus_message_ref(call), &error);
        if (r >= 0)
                return 1;
        sd_bus_message_unref(call);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].r == r)
                        return bus_fail(call, names[i].name, "%s", error.text);
        return r;
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

static int add_label(const char *word, void *userdata, Error *error)
{
        Submission *s = userdata;

        if (s->n_labels >= LABELS_MAX)
                return error_set(error, -EINVAL, "label: at most %u", LABELS_MAX);
        return label_parse(word, s->labels + s->n_labels++, error);
}

/* The options of Send. A wrong type or an unknown name is the caller's mistake, named in `error`. */
static int read_options(sd_bus_message *call, Submission *s, Error *error)
{
        const char *name;
        int plain = false, r;

        r = sd_bus_message_enter_container(call, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
                r = sd_bus_message_read(call, "s", &name);
                if (r < 0)
                        return r;
                if (str_equal(name, "label"))
                        r = bus_read_words(call, add_label, s, error);
                else if (str_equal(name, "include_plain"))
                        r = sd_bus_message_read(call, "v", "b", &plain);
                else
                        return error_set(error, -EINVAL, "Unknown option \"%s\"", name);
                if (r < 0)
                        return error->text[0] ? r
                                              : error_set(error, -EINVAL,
                                                                "Option \"%s\" is of the wrong type", name);
                r = sd_bus_message_exit_container(call);
        }
        s->plain = plain;
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int send_message(ClientBus *b, sd_bus_message *call, bool text)
{
        Submission s = {};
        Error error = {};
        const char *mode, *string;
        int r;

        r = sd_bus_message_read(call, "ss", &mode, &s.target);
        if (r < 0)
                return r;
        if (text) {
                r = sd_bus_message_read(call, "s", &string);
                s.payload = string;
                s.size = r < 0 ? 0 : strlen(string);
        } else
                r = sd_bus_message_read_array(call, 'y', &s.payload, &s.size);
        if (r < 0)
                return r;
        r = selector_mode_from_string(mode);
        if (r < 0)
                return bus_fail(call, "InvalidArgument", "Unknown mode \"%s\": it is \"to\" or \"any\"",
                                mode);
        s.mode = (SelectorMode) r;
        r = read_options(call, &s, &error);
        if (r < 0)
                return error.text[0] ? bus_fail(call, "InvalidArgument", "%s", error.text) : r;
        return submit(b, call, &s);
}

static int method_send(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return send_message(userdata, call, false);
}

static int method_send_text(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return send_message(userdata, call, true);
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
                        {"Version",  ACKGROUP_VERSION             },
                        {"ClientId", sd_id128_to_uuid_string(c->id, id)},
                        {"Discovery",          c->discovery                            },
                        {"DiscoveryState",          discovery_state_to_string(c->discovery_state)},
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

        return sd_bus_message_append(reply, "u", HASH_CNT(hh_name, b->client.peer_names));
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
                        {"Waiting",        c->n_open          },
                        {"Settled",        c->n_settled       },
                        {"Attempts",       c->n_attempts      },
                        {"OutboxLimit",    c->outbox_limit    },
                        {"AckTimeoutUSec", c->ack_timeout_usec},
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (str_equal(property, values[i].name))
                        return sd_bus_message_append(reply, "t", values[i].value);
        return -ENOENT;
}

/* Who may call what is the bus policy's matter, not that of sd-bus. */
#define METHOD(name, in, out, fn)                                                                           \
        SD_BUS_METHOD_WITH_ARGS(name, SD_BUS_ARGS in, SD_BUS_RESULT out, fn, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable manager[] = {
                SD_BUS_VTABLE_START(0),
                METHOD("Send", ("s", mode, "s", target, "ay", payload, "a{sv}", options),
                                ("s", id, "o", message), method_send),
                METHOD("SendText", ("s", mode, "s", target, "s", text, "a{sv}", options),
                                ("s", id, "o", message), method_send_text),
                METHOD("Wait", ("s", id, "t", timeout_usec),
                                ("s", state, "u", attempts, "s", receiver, "ay", reply, "s", error),
                                bus_method_wait),
                SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, bus_method_cancel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
                METHOD("GetMessage", ("s", id), ("o", message), bus_method_get_message),
                METHOD("ListMessages", ("a{sv}", filter), ("a(sssssuttts)", messages, "s", next),
                                bus_method_list_messages),
                METHOD("ListReceivers", ("a{sv}", filter), ("a(sssa{ss}assub)", receivers),
                                bus_method_list_receivers),
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
                SD_BUS_PROPERTY("Settled", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("Attempts", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("OutboxLimit", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("AckTimeoutUSec", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_VTABLE_END,
};

static void on_added(Message *m, void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        if (b->bus)
                (void) sd_bus_emit_object_added(b->bus, message_path(m, path));
}

static void forget_dirty(ClientBus *b, Message *m)
{
        if (!m->dirty)
                return;
        m->dirty = false;
        DL_DELETE2(b->dirty, m, dirty_prev, dirty_next);
}

static void on_removed(Message *m, void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        forget_dirty(b, m);
        m->announced = false;
        if (b->bus)
                (void) sd_bus_emit_object_removed(b->bus, message_path(m, path));
}

static void on_message_changed(Message *m, void *userdata)
{
        ClientBus *b = userdata;

        if (!m->dirty && b->flush) {
                m->dirty = true;
                DL_APPEND2(b->dirty, m, dirty_prev, dirty_next);
                (void) sd_event_source_set_enabled(b->flush, SD_EVENT_ONESHOT);
        }
        bus_wait_check(b, m, false);
}

static void on_message_saved(Message *m, void *userdata)
{
        bus_wait_check(userdata, m, true);
}

/* One signal for all that happened to a message in this iteration. */
static int on_flush(sd_event_source *source, void *userdata)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];

        while (b->dirty) {
                Message *m = b->dirty;

                forget_dirty(b, m);
                (void) sd_bus_emit_properties_changed(b->bus, message_path(m, path), MESSAGE_INTERFACE,
                                "State", "Attempts", "Receiver", "ReceiverName", "LastError", "NextRetry",
                                "Settled", "Reply", "PossibleDuplicate", NULL);
        }
        return 0;
}

static void on_event(Message *m, const char *event, uint32_t attempt, const char *detail, void *userdata)
{
        ClientBus *b = userdata;
        char id[SD_ID128_UUID_STRING_MAX];

        log_debug("Message %s: %s, attempt %" PRIu32 " at %s%s%s", message_id(m, id), event, attempt,
                        message_receiver_name(m), detail[0] ? ": " : "", detail);
        if (b->bus)
                (void) sd_bus_emit_signal(b->bus, BUS_PATH, MANAGER_INTERFACE, "MessageEvent", "ssuss", id,
                                event, attempt, message_receiver_name(m), detail);
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
                        HASH_CNT(hh_name, c->peer_names), c->n_open,
                        discovery_state_to_string(c->discovery_state));
        if (!b->bus)
                return;
        if (b->named) {
                (void) sd_bus_emit_properties_changed(
                                b->bus, BUS_PATH, MANAGER_INTERFACE, "DiscoveryState", "Receivers", NULL);
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
                r = log_control_add(b->bus, "ackgroup-client");
        if (r >= 0)
                r = sd_bus_match_signal(b->bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                "org.freedesktop.DBus.Local", "Disconnected", on_bus_lost, b);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_defer(event, &b->flush, on_flush, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->flush, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(b->flush, SD_EVENT_PRIORITY_NORMAL + 10);
        return r;
}

int client_bus_start(ClientBus *b, Error *error)
{
        const ClientObserver observer = {on_added, on_removed, on_message_changed, on_event,
                        on_message_saved, on_receiver, on_changed, b};
        int r;

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
        sd_event_source_disable_unref(b->flush);
        b->flush = NULL;
        b->client.stopping = true;
        b->client.db = db_close(b->client.db);
        bus_waits_clear(b);
        if (b->bus)
                (void) sd_bus_flush(b->bus);
        sd_bus_close_unref(b->bus);
        b->bus = NULL;
        client_clear(&b->client);
}
