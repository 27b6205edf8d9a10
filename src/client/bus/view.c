/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/view.h"

#include <stdio.h>

#include "base/str-util.h"
#include "client/state/peer.h"

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

const char *message_problem(const Message *m)
{
        const Peer *p = message_peer(m);

        if (p && (m->record.state == DELIVERY_BOUND || m->record.state == DELIVERY_QUEUED) &&
                        p->link.failures > 0 && p->link.problem)
                return p->link.problem;
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

int view_append_message(sd_bus_message *reply, const OutboxRecord *record, const Message *m)
{
        char id[SD_ID128_UUID_STRING_MAX];

        return sd_bus_message_append(reply, "(sssssuttts)", sd_id128_to_uuid_string(record->id, id),
                        selector_mode_to_string(selector_text_mode(record->queue)), record->target,
                        delivery_state_to_string(record->state), record->receiver_name,
                        message_attempts(record), record->accepted_usec, record->settled_usec, record->size,
                        m ? message_problem(m) : record->error ?: "");
}

static int append_bytes(sd_bus_message *reply, const char *key, const void *data, size_t size)
{
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', data, size);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* What all descriptions of an end have. */
static int append_end(
                sd_bus_message *reply, const OutboxRecord *record, uint32_t attempts, const char *error)
{
        int r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}", "state", "s",
                        delivery_state_to_string(record->state), "attempts", "u", attempts, "receiver", "s",
                        record->receiver_name, "error", "s", error, "reply_cut", "b",
                        (int) record->reply_cut);

        return r < 0 ? r : append_bytes(reply, "reply", record->reply, record->reply_size);
}

int view_append_end(sd_bus_message *reply, const OutboxRecord *record)
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_end(reply, record, record->attempts, record->error ?: "");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* "": none is known; the message may wait for a name. */
static const char *receiver_id(const OutboxRecord *record, char buffer[static SD_ID128_UUID_STRING_MAX])
{
        const char *addressed = str_after_prefix(record->queue, "to/");
        sd_id128_t receiver = record->receiver;

        buffer[0] = '\0';
        if (sd_id128_is_null(receiver) && addressed)
                (void) sd_id128_from_string(addressed, &receiver); /* or it is a name */
        if (!sd_id128_is_null(receiver))
                (void) sd_id128_to_uuid_string(receiver, buffer);
        return buffer;
}

int view_describe_delivery(sd_bus_message *reply, const OutboxRecord *record, const Message *m)
{
        char id[SD_ID128_UUID_STRING_MAX];
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "receiver_id", "s",
                                receiver_id(record, id), "sent", "t", record->sent_usec, "settled", "t",
                                record->settled_usec, "next_retry", "t", m ? message_next_retry(m) : 0);
        if (r >= 0)
                r = append_end(reply, record, message_attempts(record),
                                m ? message_problem(m) : record->error ?: "");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int view_append_delivery(sd_bus_message *reply, const OutboxRecord *record, const Message *m)
{
        char id[SD_ID128_UUID_STRING_MAX];
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sssutttsay");
        if (r >= 0)
                r = sd_bus_message_append(reply, "sssuttts", receiver_id(record, id), record->receiver_name,
                                delivery_state_to_string(record->state), message_attempts(record),
                                record->sent_usec, record->settled_usec, m ? message_next_retry(m) : 0,
                                m ? message_problem(m) : record->error ?: "");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', record->reply, record->reply_size);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
