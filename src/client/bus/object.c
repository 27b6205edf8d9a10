/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/object.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"
#include "client/bus/wait.h"

int object_get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
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
                        {"ReceiverName", m->record.receiver_name},
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

int object_get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
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

int object_get_attempts(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", message_attempts(&((Message *) userdata)->record));
}

int object_get_priority(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", ((Message *) userdata)->record.policy.priority);
}

int object_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Message *m = userdata;

        return sd_bus_message_append(reply, "b",
                        str_equal(property, "ReplyCut") ? m->record.reply_cut : m->record.duplicate);
}

int object_get_reply(sd_bus *bus, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Message *m = userdata;
        sd_bus_message *call = sd_bus_get_current_message(bus);
        /* Some hundred replies would be more than the bus takes in one message. */
        const bool is_one_of_all =
                        call && sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager",
                                                "GetManagedObjects") > 0;

        return sd_bus_message_append_array(
                        reply, 'y', m->record.reply, is_one_of_all ? 0 : m->record.reply_size);
}

int object_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *error)
{
        ClientBus *b = userdata;
        const char *word = str_after_prefix(path, MESSAGE_PATH "/");
        sd_id128_t id;
        Message *m;

        if (!word || sd_id128_from_string(word, &id) < 0)
                return 0;
        m = message_find(b->client, id);
        if (!m || !m->announced)
                return 0;
        *ret = m;
        return 1;
}

/* Looks up the message again: it may have left memory while the guard checked the sender. */
int object_method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        void *m;

        if (object_find(b->bus, sd_bus_message_get_path(call), NULL, b, &m, NULL) == 0)
                return bus_fail(call, "NoSuchMessage", "The message is at its end");
        return bus_wait_cancelled(b, m, call);
}

int object_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error)
{
        ClientBus *b = userdata;
        char path[MESSAGE_PATH_MAX];
        char **paths = calloc(b->client->messages.n_recent + 1, sizeof *paths);
        size_t n = 0;
        Message *m;

        if (!paths)
                return -ENOMEM;
        DL_FOREACH2(b->client->messages.recent, m, recent_next)
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
