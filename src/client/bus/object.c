/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/bus/manager.h"
#include "client/link/peers.h"

const char *message_path(const Message *m, char buffer[static MESSAGE_PATH_MAX])
{
        char id[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, MESSAGE_PATH_MAX, "%s/%s", MESSAGE_PATH,
                        sd_id128_to_string(m->record.id, id));
        return buffer;
}

const char *message_id(const Message *m, char buffer[static SD_ID128_UUID_STRING_MAX])
{
        return sd_id128_to_uuid_string(m->record.id, buffer);
}

const char *message_receiver_name(const Message *m)
{
        return m->record.receiver_name;
}

const char *message_problem(const Message *m)
{
        if (m->link.peer && m->record.state == DELIVERY_BOUND && m->link.peer->link.failures > 0 &&
                        m->link.peer->link.problem)
                return m->link.peer->link.problem;
        return m->record.error ?: "";
}

uint32_t message_attempts(const OutboxRecord *record)
{
        return record->attempts + (record->state == DELIVERY_SENT);
}

uint64_t message_next_retry(const Message *m)
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        if (m->record.state != DELIVERY_BACKOFF || m->due.position == HEAP_NOT_IN)
                return 0;
        return now_usec(CLOCK_REALTIME) + (m->due.due > now ? m->due.due - now : 0);
}

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Message *m = userdata;
        char id[SD_ID128_UUID_STRING_MAX], receiver[SD_ID128_UUID_STRING_MAX];
        bool bound = !sd_id128_is_null(m->record.receiver);
        const struct {
                const char *name, *value;
        } values[] = {
                        {"Id", message_id(m, id)},
                        {"Mode", selector_mode_to_string(selector_text_mode(m->record.queue))},
                        {"Target", m->record.target},
                        {"State", delivery_state_to_string(m->record.state)},
                        {"Receiver", bound ? sd_id128_to_uuid_string(m->record.receiver, receiver) : ""},
                        {"ReceiverName", message_receiver_name(m)},
                        {"Progress", m->progress ?: ""},
                        {"LastError", message_problem(m)},
                        {"Guarantee", bound && sd_id128_is_null(m->record.stream) ? "at-least-once"
                                                                                  : "processed-once"},
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (str_equal(property, values[i].name))
                        return sd_bus_message_append(reply, "s", values[i].value);
        return -ENOENT;
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Message *m = userdata;
        const struct {
                const char *name;
                uint64_t value;
        } values[] = {
                        {"Accepted", m->record.accepted_usec},
                        {"NextRetry", message_next_retry(m)},
                        {"Settled", m->record.settled_usec},
                        {"Size", m->record.size},
                        {"Deadline", m->record.policy.deadline_usec},
                        {"Start", m->record.policy.start_usec},
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (str_equal(property, values[i].name))
                        return sd_bus_message_append(reply, "t", values[i].value);
        return -ENOENT;
}

static int get_attempts(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", message_attempts(&((Message *) userdata)->record));
}

static int get_priority(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", ((Message *) userdata)->record.policy.priority);
}

static int get_duplicate(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "b", (int) ((Message *) userdata)->record.duplicate);
}

static int get_reply(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Message *m = userdata;

        return sd_bus_message_append_array(reply, 'y', m->record.reply, m->record.reply_size);
}

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *error)
{
        ClientBus *b = userdata;
        const char *word = str_after_prefix(path, MESSAGE_PATH "/");
        sd_id128_t id;
        Message *m;

        if (!word || sd_id128_from_string(word, &id) < 0)
                return 0;
        m = message_find(&b->client, id);
        if (!m || !m->announced)
                return 0;
        *ret = m;
        return 1;
}

/* By its path again: it may have left memory while its sender was checked. */
static int cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        void *m;

        if (find(b->bus, sd_bus_message_get_path(call), NULL, b, &m, NULL) == 0)
                return bus_fail(call, "NoSuchMessage", "The message is at its end");
        return bus_wait_cancelled(b, m, call);
}

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Message *m = userdata;

        return bus_guard(m->client->observer.userdata, call, "manage", cancel);
}

#define CONST_PROPERTY(name, type, fn) SD_BUS_PROPERTY(name, type, fn, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define CHANGING_PROPERTY(name, type, fn)                                                                   \
        SD_BUS_PROPERTY(name, type, fn, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)

static const sd_bus_vtable vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("Cancel", NULL, NULL, method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
                CONST_PROPERTY("Id", "s", get_string),
                CONST_PROPERTY("Mode", "s", get_string),
                CONST_PROPERTY("Target", "s", get_string),
                CHANGING_PROPERTY("State", "s", get_string),
                CHANGING_PROPERTY("Attempts", "u", get_attempts),
                CHANGING_PROPERTY("Receiver", "s", get_string),
                CHANGING_PROPERTY("ReceiverName", "s", get_string),
                CHANGING_PROPERTY("LastError", "s", get_string),
                CHANGING_PROPERTY("Progress", "s", get_string),
                CONST_PROPERTY("Accepted", "t", get_number),
                CHANGING_PROPERTY("NextRetry", "t", get_number),
                CHANGING_PROPERTY("Settled", "t", get_number),
                CHANGING_PROPERTY("Reply", "ay", get_reply),
                CONST_PROPERTY("Size", "t", get_number),
                CONST_PROPERTY("Start", "t", get_number),
                CONST_PROPERTY("Deadline", "t", get_number),
                CONST_PROPERTY("Priority", "u", get_priority),
                CHANGING_PROPERTY("PossibleDuplicate", "b", get_duplicate),
                SD_BUS_PROPERTY("Guarantee", "s", get_string, 0, 0),
                SD_BUS_VTABLE_END,
};

/* The newest ones; others can be looked at by their path once GetMessage has named it. */
static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];
        char **paths = calloc(b->client.messages.n_recent + 1, sizeof *paths);
        size_t n = 0;
        Message *m;

        if (!paths)
                return -ENOMEM;
        DL_FOREACH2(b->client.messages.recent, m, recent_next)
        {
                paths[n] = strdup(message_path(m, path));
                if (!paths[n++]) {
                        strv_free(paths);
                        return -ENOMEM;
                }
        }
        *ret = paths;
        return 1;
}

int bus_messages_add(ClientBus *b)
{
        int r;

        r = sd_bus_add_fallback_vtable(b->bus, NULL, MESSAGE_PATH, MESSAGE_INTERFACE, vtable, find, b);
        return r < 0 ? r : sd_bus_add_node_enumerator(b->bus, NULL, MESSAGE_PATH, enumerate, b);
}
