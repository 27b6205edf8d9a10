/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/send.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/bus/options.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"

static void on_submitted(Message *m, int r, uint64_t number, void *userdata)
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
        Error error = {};
        int r;

        r = client_submit(b->client, s, on_submitted, sd_bus_message_ref(call), &error);
        if (r >= 0)
                return 1;
        sd_bus_message_unref(call);
        return error.text[0] ? bus_fail(call, submit_error_name(r), "%s", error.text) : r;
}

static int send_message(ClientBus *b, sd_bus_message *call, bool text)
{
        BulkOptions options = {.submission.policy = POLICY_ALL_OPEN};
        Submission *s = &options.submission;
        Error error = {};
        const char *mode, *string;
        int r;

        r = sd_bus_message_read(call, "ss", &mode, &s->target);
        if (r < 0)
                return r;
        if (text) {
                r = sd_bus_message_read(call, "s", &string);
                s->payload = string;
                s->size = r < 0 ? 0 : strlen(string);
        } else
                r = sd_bus_message_read_array(call, 'y', &s->payload, &s->size);
        if (r < 0)
                return r;
        r = bus_read_mode(mode, &s->mode, &error);
        if (r >= 0)
                r = bus_read_send_options(call, false, &options, &error);
        if (r < 0)
                return bus_fail_argument(call, r, &error);
        return submit(b, call, s);
}

int bus_method_send(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return send_message(userdata, call, false);
}

int bus_method_send_text(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return send_message(userdata, call, true);
}

/* Makes a socket pair and gives one end to the caller. */
int bus_method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error_unused)
{
        BulkOptions options = {.submission.policy = POLICY_ALL_OPEN, .mode = "any", .settlements = true};
        ClientBus *b = userdata;
        Error error = {};
        int pair[2], r;

        options.submission.target = "";
        r = bus_read_send_options(call, true, &options, &error);
        if (r >= 0)
                r = bus_read_mode(options.mode, &options.submission.mode, &error);
        if (r >= 0 && options.submission.idempotency_key)
                r = error_set(&error, -EINVAL, "idempotency_key: each message of a stream has its own");
        if (r < 0)
                return bus_fail_argument(call, r, &error);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int theirs = pair[1];
        r = bulk_open(b->client, pair[0], &options, &error);
        if (r < 0) {
                (void) close(pair[0]);
                const char *name = r == -EMFILE ? "LimitExceeded" : submit_error_name(r);
                return error.text[0] ? bus_fail(call, name, "%s", error.text) : r;
        }
        return sd_bus_reply_method_return(call, "h", theirs);
}
