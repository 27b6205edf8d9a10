/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/send.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/bus.h"
#include "ctl/follow.h"
#include "ctl/lines.h"
#include "ctl/messages.h"
#include "ctl/value.h"
#include "model/limits.h"

typedef enum Kind {
        WORD,
        NUMBER,   /* u */
        COUNT,    /* t */
        DURATION, /* t, µs */
        INSTANT,  /* t, µs since 1970 */
        END,      /* an instant, or a duration from now */
} Kind;

/* Options of the call that are options of the command line. */
static const struct {
        OptionId id;
        const char *option, *name; /* on the command line; in the call */
        Kind kind;
} passed[] = {
                {OPTION_QUORUM, "quorum", "quorum", NUMBER},
                {OPTION_KEY, "key", "key", WORD},
                {OPTION_ACK_TIMEOUT, "ack-timeout", "ack_timeout", DURATION},
                {OPTION_BACKOFF, "backoff", "backoff", DURATION},
                {OPTION_BACKOFF_MAX, "backoff-max", "backoff_max", DURATION},
                {OPTION_MAX_ATTEMPTS, "max-attempts", "max_attempts", COUNT},
                {OPTION_DEADLINE, "deadline", "deadline", END},
                {OPTION_IN, "in", "delay", DURATION},
                {OPTION_AT, "at", "at", INSTANT},
                {OPTION_PRIORITY, "priority", "priority", NUMBER},
                {OPTION_DURABILITY, "durability", "durability", WORD},
                {OPTION_IDEMPOTENCY_KEY, "idempotency-key", "idempotency_key", WORD},
};

static const char *given(const Ctl *c, OptionId id)
{
        return c->given[id - OPTION_FIRST];
}

/* 0, or an exit code. */
static int parse_option(const char *option, Kind kind, const char *word, uint64_t *ret)
{
        int r;

        if (kind == NUMBER || kind == COUNT) {
                if (parse_u64(word, 0, UINT32_MAX, ret) < 0)
                        return ctl_fail(EXIT_USAGE, "--%s is a number, not \"%s\"", option, word);
                return 0;
        }
        r = kind == INSTANT ? -EINVAL : parse_duration(word, ret);
        if (r >= 0 && kind == END)
                *ret = usec_add(now_usec(CLOCK_REALTIME), *ret);
        if (r < 0 && kind != DURATION)
                r = parse_timestamp(word, ret);
        if (r >= 0)
                return 0;
        return ctl_fail(EXIT_USAGE, "--%s is a time like %s, not \"%s\"", option,
                        kind == INSTANT    ? "18:00 or \"2030-01-31 18:00\""
                        : kind == DURATION ? "30s or 10m"
                                           : "10m or 18:00",
                        word);
}

static int append_passed(const Ctl *c, sd_bus_message *call)
{
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(passed) && r == 0; i++) {
                const char *word = given(c, passed[i].id), *name = passed[i].name;
                uint64_t value;

                if (!word)
                        continue;
                if (passed[i].kind == WORD) {
                        r = MIN(sd_bus_message_append(call, "{sv}", name, "s", word), 0);
                        continue;
                }
                r = parse_option(passed[i].option, passed[i].kind, word, &value);
                if (r == 0 && passed[i].kind == NUMBER)
                        r = MIN(sd_bus_message_append(call, "{sv}", name, "u", (uint32_t) value), 0);
                else if (r == 0)
                        r = MIN(sd_bus_message_append(call, "{sv}", name, "t", value), 0);
        }
        return r;
}

static int append_labels(const Ctl *c, sd_bus_message *call)
{
        int r;

        if (strv_length(c->labels) == 0)
                return 0;
        r = sd_bus_message_open_container(call, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", "label");
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(call, c->labels);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

int send_append_options(const Ctl *c, sd_bus_message *call, const char *stream_mode, const char *target)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && stream_mode)
                r = sd_bus_message_append(call, "{sv}{sv}{sv}", "mode", "s", stream_mode, "target", "s",
                                target, "settlements", "b", !c->no_wait);
        if (r >= 0 && c->include_plain)
                r = sd_bus_message_append(call, "{sv}", "include_plain", "b", 1);
        if (r >= 0 && c->follow_joins)
                r = sd_bus_message_append(call, "{sv}", "follow_joins", "b", 1);
        if (r >= 0)
                r = append_labels(c, call);
        if (r >= 0)
                r = append_passed(c, call);
        return r != 0 ? r : sd_bus_message_close_container(call);
}

static void show_id(const Ctl *c, const char *id)
{
        if (c->json == JSON_OFF) {
                puts(id);
                return;
        }
        _cleanup_(cjsonp) cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "id", id);
        value_print(c, object);
}

int send_payload(Ctl *c, const char *mode, const char *target, const void *payload, size_t size)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        const char *id;
        int r;

        r = c->no_wait ? 0 : follow_prepare(c);
        if (r != 0)
                return r;
        r = bus_new_call(c, &call, "Send");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", mode, target);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', payload, size);
        if (r >= 0)
                r = send_append_options(c, call, NULL, NULL);
        if (r > 0)
                return r;
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "s", &id) < 0)
                return ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
        if (!c->no_wait)
                return follow_message(c, id, mode);
        show_id(c, id);
        return EXIT_OK;
}

static int read_payload(const Ctl *c, char **ret, size_t *ret_size)
{
        const char *name = c->file && !str_equal(c->file, "-") ? c->file : "standard input";
        _cleanup_close_ int fd = -1;
        int r;

        if (c->file && !str_equal(c->file, "-")) {
                fd = open(c->file, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return ctl_fail(EXIT_FAILED, "cannot open %s: %s", c->file, strerror(errno));
        } else if (isatty(STDIN_FILENO))
                fputs("Type the message; Ctrl-D on an empty line sends it.\n", stderr);
        r = read_all(fd >= 0 ? fd : STDIN_FILENO, PAYLOAD_MAX, ret, ret_size);
        if (r == -EFBIG)
                return ctl_fail(EXIT_FAILED,
                                "%s is longer than %u bytes, the most that one message can have", name,
                                PAYLOAD_MAX);
        return r < 0 ? ctl_fail(EXIT_FAILED, "cannot read %s: %s", name, strerror(-r)) : 0;
}

/* Whom it is for; NULL after telling what is wrong. */
static const char *find_mode(const Ctl *c)
{
        const struct {
                bool wanted;
                const char *mode;
        } modes[] = {
                        {c->to, "to"},
                        {c->any, "any"},
                        {c->all, "all"},
                        {given(c, OPTION_QUORUM), "quorum"},
                        {given(c, OPTION_KEY), "key"},
        };
        const char *mode = NULL;
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (modes[i].wanted) {
                        mode = modes[i].mode;
                        n++;
                }
        if (n != 1)
                (void) ctl_fail(EXIT_USAGE,
                                "say whom%s: --to RECEIVER, --any, --all, --quorum K or --key KEY"
                                " (see \"ackctl send --help\")",
                                n > 1 ? ", one of" : "");
        else if (c->to && (c->group || strv_length(c->labels) > 0 || c->include_plain))
                (void) ctl_fail(EXIT_USAGE,
                                "--group, --label and --include-plain go with a group, not with --to");
        else if (c->follow_joins && !c->all)
                (void) ctl_fail(EXIT_USAGE, "--follow-joins goes with --all");
        else if (c->no_wait && !c->lines && c->timeout_usec > 0)
                (void) ctl_fail(EXIT_USAGE, "either --timeout or --no-wait, which waits for nothing");
        else if (given(c, OPTION_IN) && given(c, OPTION_AT))
                (void) ctl_fail(EXIT_USAGE, "either --in or --at, not both");
        else
                return mode;
        return NULL;
}

int verb_send(Ctl *c, int argc, char **argv)
{
        const char *mode = find_mode(c);
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        if (!mode)
                return EXIT_USAGE;
        if (argc > 1 && (c->file || c->lines))
                return ctl_fail(EXIT_USAGE, "either a message or --file or --lines, not both");
        if (c->lines && given(c, OPTION_IDEMPOTENCY_KEY))
                return ctl_fail(EXIT_USAGE, "--idempotency-key names one message, --lines are many");
        if (c->null && !c->lines)
                return ctl_fail(EXIT_USAGE, "--null goes with --lines");
        if (c->lines)
                return send_lines(c, mode, c->to ?: c->group ?: "");
        if (argc == 1) {
                r = read_payload(c, &data, &size);
                if (r != 0)
                        return r;
        }
        return send_payload(c, mode, c->to ?: c->group ?: "", argc > 1 ? argv[1] : data,
                        argc > 1 ? strlen(argv[1]) : size);
}

/* Looks it up first: a client that was never there is not waited for, and its events have the whole id. */
static int wait_for(Ctl *c, const char *id)
{
        _cleanup_(cjsonp) cJSON *message = NULL;
        int r;

        r = follow_prepare(c);
        if (r == 0)
                r = message_get(c, id, &message);
        return r != 0 ? r : follow_message(c, value_string(message, "Id"), value_string(message, "Mode"));
}

int verb_wait(Ctl *c, int argc, char **argv)
{
        int code = EXIT_OK;

        for (int i = 1; i < argc && code != EXIT_INTERRUPTED && !c->hopeless; i++) {
                int r = wait_for(c, argv[i]);
                if (r != EXIT_OK)
                        code = r;
        }
        return code;
}
