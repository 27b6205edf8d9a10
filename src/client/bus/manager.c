/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "client/bus/attempts.h"
#include "client/bus/dead.h"
#include "client/bus/deliveries.h"
#include "client/bus/drain.h"
#include "client/bus/guard.h"
#include "client/bus/many.h"
#include "client/bus/object.h"
#include "client/bus/query.h"
#include "client/bus/read.h"
#include "client/bus/receivers.h"
#include "client/bus/send.h"
#include "client/bus/subscribe.h"
#include "client/bus/wait.h"
#include "client/intake/resolve.h"
#include "config.h"
#include "runtime/log-control.h"

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        const Client *c = b->client;
        char id[SD_ID128_UUID_STRING_MAX], damage[DAMAGE_TEXT_MAX] = "";
        const struct {
                const char *name, *value;
        } values[] = {
                        {"Version", ACKGROUP_VERSION},
                        {"Damage", damage},
                        {"ClientId", sd_id128_to_uuid_string(c->id, id)},
                        {"Discovery", c->config.discovery},
                        {"DiscoveryState", discovery_state_to_string(c->discovery_state)},
        };

        if (c->db)
                database_describe_damage(c->db, damage);
        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (str_equal(property, values[i].name))
                        return sd_bus_message_append(reply, "s", values[i].value);
        return -ENOENT;
}

static int get_receivers(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;

        return sd_bus_message_append(reply, "u", HASH_CNT(hh_name, b->client->peers.by_name));
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        const Client *c = b->client;
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

/* Methods that change something. Their sender needs the authorization org.ackgroup.client1.ACTION. */
static const struct {
        const char *member;
        const char *action;
        sd_bus_message_handler_t method;
} guarded_methods[] = {
                {"Send", "send", bus_method_send},
                {"SendText", "send", bus_method_send_text},
                {"OpenStream", "send", bus_method_open_stream},
                {"Cancel", "manage", bus_method_cancel},
                {"Retry", "manage", bus_method_retry},
                {"RetryMany", "manage", bus_method_retry_many},
                {"Drain", "manage", bus_method_drain},
                {"Purge", "purge", bus_method_purge},
                {"PurgeMany", "purge", bus_method_purge_many},
};

static int guarded(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        const char *member = sd_bus_message_get_member(call);

        for (size_t i = 0; i < ELEMENTSOF(guarded_methods); i++)
                if (str_equal(member, guarded_methods[i].member))
                        return bus_guard(userdata, call, guarded_methods[i].action,
                                        guarded_methods[i].method);
        return -EBADRQC;
}

/* Here sd-bus passes the Message as userdata. The ClientBus is the userdata of the table. */
static int message_cancel_guarded(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        sd_bus_slot *table = sd_bus_get_current_slot(sd_bus_message_get_bus(call));

        return bus_guard(sd_bus_slot_get_userdata(table), call, "manage", object_method_cancel);
}

/* sd-bus lets everybody call; the guard decides. */
#define METHOD(name, in, out, fn)                                                                           \
        SD_BUS_METHOD_WITH_ARGS(name, SD_BUS_ARGS in, SD_BUS_RESULT out, fn, SD_BUS_VTABLE_UNPRIVILEGED)
/* Returns nothing. */
#define COMMAND(name, in, fn)                                                                               \
        SD_BUS_METHOD_WITH_ARGS(name, SD_BUS_ARGS in, SD_BUS_NO_RESULT, fn, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable manager_table[] = {
                SD_BUS_VTABLE_START(0),
                METHOD("Send", ("s", mode, "s", target, "ay", payload, "a{sv}", options),
                                ("s", id, "o", message), guarded),
                METHOD("SendText", ("s", mode, "s", target, "s", text, "a{sv}", options),
                                ("s", id, "o", message), guarded),
                METHOD("OpenStream", ("a{sv}", options), ("h", socket), guarded),
                SD_BUS_METHOD("Subscribe", NULL, NULL, bus_method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD("Unsubscribe", NULL, NULL, bus_method_unsubscribe, SD_BUS_VTABLE_UNPRIVILEGED),
                METHOD("Wait", ("s", id, "t", timeout_usec),
                                ("s", state, "u", attempts, "s", receiver, "ay", reply, "s", error),
                                bus_method_wait),
                METHOD("WaitForEnd", ("s", id, "t", timeout_usec), ("a{sv}", end), bus_method_wait),
                COMMAND("Cancel", ("s", id), guarded),
                METHOD("GetMessage", ("s", id), ("o", message), bus_method_get_message),
                METHOD("ListMessages", ("a{sv}", filter), ("a(sssssuttts)", messages, "s", next),
                                bus_method_list_messages),
                METHOD("ListReceivers", ("a{sv}", filter), ("a(sssa{ss}assub)", receivers),
                                bus_method_list_receivers),
                METHOD("FindReceivers", ("a{sv}", filter), ("a(sssa{ss}assub)", receivers, "s", next),
                                bus_method_find_receivers),
                METHOD("ListDeliveries", ("s", id), ("a(sssutttsay)", deliveries),
                                bus_method_list_deliveries),
                METHOD("DescribeDeliveries", ("s", id), ("aa{sv}", deliveries), bus_method_list_deliveries),
                METHOD("FindDeliveries", ("s", id, "a{sv}", filter), ("aa{sv}", deliveries, "s", next),
                                bus_method_find_deliveries),
                METHOD("ListAttempts", ("s", id), ("a(usuttss)", attempts), bus_method_list_attempts),
                METHOD("Explain", ("s", id), ("s", why, "s", advice), bus_method_explain),
                COMMAND("Retry", ("s", id), guarded),
                COMMAND("Purge", ("s", id), guarded),
                METHOD("RetryMany", ("a{sv}", filter), ("u", done, "s", next), guarded),
                METHOD("PurgeMany", ("a{sv}", filter), ("u", done, "s", next), guarded),
                COMMAND("Drain", ("s", receiver, "b", drain), guarded),
                SD_BUS_SIGNAL_WITH_ARGS("MessageEvent",
                                SD_BUS_ARGS("s", id, "s", event, "u", attempt, "s", receiver, "s", detail),
                                0),
                SD_BUS_SIGNAL_WITH_ARGS("ReceiverAdded", SD_BUS_ARGS("s", id, "s", name, "s", group), 0),
                SD_BUS_SIGNAL_WITH_ARGS("ReceiverRemoved", SD_BUS_ARGS("s", id, "s", name, "s", group), 0),
                SD_BUS_PROPERTY("Version", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("ClientId", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("Discovery", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("DiscoveryState", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Damage", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("Receivers", "u", get_receivers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Waiting", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("DeadLetters", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("Settled", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("Attempts", "t", get_number, 0, 0),
                SD_BUS_PROPERTY("OutboxLimit", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("AckTimeoutUSec", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_VTABLE_END,
};

#define CONST_PROPERTY(name, type, fn) SD_BUS_PROPERTY(name, type, fn, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define CHANGING_PROPERTY(name, type, fn)                                                                   \
        SD_BUS_PROPERTY(name, type, fn, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)

static const sd_bus_vtable message_table[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("Cancel", NULL, NULL, message_cancel_guarded, SD_BUS_VTABLE_UNPRIVILEGED),
                CONST_PROPERTY("Id", "s", object_get_string),
                CONST_PROPERTY("Mode", "s", object_get_string),
                CONST_PROPERTY("Target", "s", object_get_string),
                CHANGING_PROPERTY("State", "s", object_get_string),
                CHANGING_PROPERTY("Attempts", "u", object_get_attempts),
                CHANGING_PROPERTY("Receiver", "s", object_get_string),
                CHANGING_PROPERTY("ReceiverName", "s", object_get_string),
                CHANGING_PROPERTY("LastError", "s", object_get_string),
                CHANGING_PROPERTY("Progress", "s", object_get_string),
                CONST_PROPERTY("Accepted", "t", object_get_number),
                CHANGING_PROPERTY("NextRetry", "t", object_get_number),
                CHANGING_PROPERTY("Settled", "t", object_get_number),
                CHANGING_PROPERTY("Reply", "ay", object_get_reply),
                CHANGING_PROPERTY("ReplyCut", "b", object_get_bool),
                CONST_PROPERTY("Size", "t", object_get_number),
                CONST_PROPERTY("Start", "t", object_get_number),
                CONST_PROPERTY("Deadline", "t", object_get_number),
                CONST_PROPERTY("Priority", "u", object_get_priority),
                CHANGING_PROPERTY("PossibleDuplicate", "b", object_get_bool),
                SD_BUS_PROPERTY("Guarantee", "s", object_get_string, 0, 0),
                SD_BUS_VTABLE_END,
};

int manager_add_objects(ClientBus *b)
{
        int r;

        r = sd_bus_add_object_vtable(b->bus, NULL, BUS_PATH, MANAGER_INTERFACE, manager_table, b);
        if (r >= 0)
                r = sd_bus_add_object_manager(b->bus, NULL, BUS_PATH);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(b->bus, NULL, MESSAGE_PATH, MESSAGE_INTERFACE, message_table,
                                object_find, b);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(b->bus, NULL, MESSAGE_PATH, object_enumerate, b);
        if (r >= 0)
                r = log_control_add(b->bus, "ackgroup-client");
        return r;
}
