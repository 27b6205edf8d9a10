/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sysexits.h>

#include "base/str-util.h"
#include "daemon/program.h"
#include "daemon/value-check.h"
#include "receiver/receiver.h"

#define BOUNDED(key, type, field, low, high)                                                                \
        {                                                                                                   \
                "Receiver", key, type, offsetof(ReceiverConfig, field), low, high                           \
        }
#define ITEM(key, type, field) BOUNDED(key, type, field, 0, 0)
#define CHECKED(key, type, field, how)                                                                      \
        {                                                                                                   \
                "Receiver", key, type, offsetof(ReceiverConfig, field), .check = how                        \
        }

static const ConfItem items[] = {
                ITEM("Instance", CONF_STRING, instance),
                CHECKED("Name", CONF_STRING, name, check_name),
                CHECKED("Group", CONF_STRING, group, check_name),
                CHECKED("Label", CONF_STRINGS, labels, check_label),
                CHECKED("Listen", CONF_STRINGS, listen, check_address),
                CHECKED("Advertise", CONF_STRINGS, advertise, check_address),
                CHECKED("Discovery", CONF_STRING, discovery, check_url),
                BOUNDED("Concurrency", CONF_UNSIGNED, concurrency, 1, CONCURRENCY_MAX),
                BOUNDED("Queue", CONF_UNSIGNED, queue, 0, QUEUE_MAX),
                ITEM("FailureProbability", CONF_PROBABILITY, failure_probability),
                ITEM("PlainText", CONF_BOOL, plain_text),
                ITEM("HandlerTimeoutSec", CONF_DURATION, handler_timeout_usec),
                ITEM("StopTimeoutSec", CONF_DURATION, stop_timeout_usec),
                BOUNDED("MaxPayload", CONF_SIZE, max_payload, 1, PAYLOAD_MAX),
                BOUNDED("MaxReply", CONF_SIZE, max_reply, 1, REPLY_MAX),
                {"Receiver", "ReplyTooLong", CONF_CHOICE, offsetof(ReceiverConfig, reject_long_reply), 0, 0,
                                {"cut", "reject"}},
                ITEM("AllowInsecure", CONF_BOOL, allow_insecure),
                ITEM("Exec", CONF_WORDS, command),
                ITEM("StateDirectory", CONF_STRING, state_directory),
                CHECKED("LogLevel", CONF_STRING, log_level, check_log_level),
                {},
};
static const char *const foreign[] = {"Discovery", "Client", NULL};
static const char *const live[] = {"Concurrency", "Queue", "FailureProbability", "PlainText",
                "HandlerTimeoutSec", "StopTimeoutSec", "MaxPayload", "MaxReply", "ReplyTooLong", "Exec",
                "LogLevel", NULL};
static const ConfTable table = {items, foreign, live};

static const Option rows[] = {
                {"instance", "Instance", OPTION_EARLY},
                {"name", "Name", OPTION_VALUE},
                {"group", "Group", OPTION_VALUE},
                {"label", "Label", OPTION_VALUE},
                {"listen", "Listen", OPTION_VALUE},
                {"advertise", "Advertise", OPTION_VALUE},
                {"discovery", "Discovery", OPTION_VALUE},
                {"concurrency", "Concurrency", OPTION_VALUE},
                {"queue", "Queue", OPTION_VALUE},
                {"failure-probability", "FailureProbability", OPTION_VALUE},
                {"plain-text", "PlainText", OPTION_FLAG},
                {"handler-timeout", "HandlerTimeoutSec", OPTION_VALUE},
                {"stop-timeout", "StopTimeoutSec", OPTION_VALUE},
                {"max-payload", "MaxPayload", OPTION_VALUE},
                {"max-reply", "MaxReply", OPTION_VALUE},
                {"reply-too-long", "ReplyTooLong", OPTION_VALUE},
                {"allow-insecure", "AllowInsecure", OPTION_FLAG},
                {},
};

static const char help[] =
                "Usage: ackgroup-receiver [OPTION…] [-- COMMAND…]\n\n"
                "Takes messages, runs COMMAND for each, and acknowledges what was processed.\n\n"
                "  --help, --version\n"
                "  --check                     check the configuration, and end\n"
                "  --config FILE               instead of ackgroup.conf and receiver@NAME.conf\n"
                "  --state-dir DIR             where identity and outcomes are kept\n"
                "  --log-level LEVEL\n"
                "  --instance NAME             which of the receivers of this host it is\n"
                "  --name NAME                 INSTANCE@HOST unless given\n"
                "  --group GROUP               the group of the receiver (default)\n"
                "  --label KEY=VALUE           repeatable\n"
                "  --listen ADDR               unix:PATH or tcp:HOST:PORT; repeatable\n"
                "  --advertise ADDR            address that clients get instead; repeatable\n"
                "  --discovery URL             unix:PATH or http://HOST:PORT\n"
                "  --concurrency N             handlers that run at once (1)\n"
                "  --queue N                   messages that may wait for a handler (64)\n"
                "  --failure-probability P     share of acks to withhold on purpose, to see retries\n"
                "  --plain-text[=BOOL]         take plain text too; its messages may run twice\n"
                "  --handler-timeout SEC       a handler is killed after this time (1h)\n"
                "  --stop-timeout SEC          time for running handlers to finish at a stop (25s)\n"
                "  --max-payload BYTES         largest message (1M)\n"
                "  --max-reply BYTES           largest reply (64K)\n"
                "  --reply-too-long WHAT       cut it, or reject the message (cut)\n"
                "  --allow-insecure            listen beyond loopback without TLS\n"
                "\n"
                "COMMAND reads the message from its standard input; variables ACKGROUP_… describe it. "
                "Exit\nstatus 0 acknowledges the message, and the output is the reply; 65, 67, 68, 76 and "
                "77 reject\nthe message for good; any other status is a failure. On descriptor 3 it may "
                "write lines:\n"
                "\"progress 40 copying\", \"error TEXT\", \"retry 30s\" (not again before).\n"
                "Without COMMAND messages are logged and acknowledged.\n";

static char *instance_file(const void *object)
{
        const ReceiverConfig *c = object;

        return c->instance ? str_format("receiver@%s.conf", c->instance) : NULL;
}

static const Options options = {
                .help = help,
                .section = "Receiver",
                .table = &table,
                .options = rows,
                .second_file = instance_file,
                .words = "Exec",
};

static const ReceiverConfig defaults = {
                .concurrency = 1,
                .queue = 64,
                .handler_timeout_usec = 3600 * USEC_PER_SEC,
                .stop_timeout_usec = 25 * USEC_PER_SEC,
                .max_payload = PAYLOAD_DEFAULT_MAX,
                .max_reply = REPLY_MAX,
};

/* What no value alone can say. */
static int check(const void *config, Error *error)
{
        return receiver_check(config, error);
}

static int start(void *config, void **ret_root, Loop **ret_loop, Error *error)
{
        Receiver *r;
        int x = receiver_new(config, &r, error);

        if (x < 0)
                /* AllowInsecure=, or a value that is not valid. Another start does not help. */
                return x == -EPERM || x == -EINVAL ? EX_CONFIG : x;
        *ret_root = r;
        *ret_loop = r->loop;
        return 0;
}

static int reload(void *root, void *fresh, Error *error)
{
        return receiver_reload(root, fresh, error);
}

static void stop(void *root)
{
        receiver_free(root);
}

int main(int argc, char **argv)
{
        const Program program = {
                        .name = "ackgroup-receiver",
                        .options = &options,
                        .defaults = &defaults,
                        .config_size = sizeof defaults,
                        .check = check,
                        .start = start,
                        .reload = reload,
                        .free = stop,
        };

        return program_run(&program, argc, argv);
}
