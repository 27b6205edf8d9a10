/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl-send.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "ctl/ctl-bus.h"
#include "ctl/ctl-follow.h"
#include "ctl/ctl-value.h"
#include "model/limits.h"

static int append_options(const Ctl *c, sd_bus_message *call)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && c->include_plain)
                r = sd_bus_message_append(call, "{sv}", "include_plain", "b", 1);
        if (r >= 0 && strv_length(c->labels) > 0) {
                r = sd_bus_message_open_container(call, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(call, "s", "label");
                if (r >= 0)
                        r = sd_bus_message_open_container(call, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_append_strv(call, c->labels);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
        }
        return r < 0 ? r : sd_bus_message_close_container(call);
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
                r = append_options(c, call);
        if (r < 0)
                return ctl_fail(EXIT_FAILED, "cannot make the call: %s", strerror(-r));
        r = bus_call(c, call, &answer);
        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "s", &id) < 0)
                return ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
        if (!c->no_wait)
                return follow_message(c, id);
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

int verb_send(Ctl *c, int argc, char **argv)
{
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        if (!c->to == !c->any)
                return ctl_fail(EXIT_USAGE, "say whom: --to RECEIVER or --any (see \"ackctl send --help\")");
        if (c->to && (c->group || strv_length(c->labels) > 0 || c->include_plain))
                return ctl_fail(EXIT_USAGE,
                                "--group, --label and --include-plain go with --any, not with --to");
        if (argc > 1 && c->file)
                return ctl_fail(EXIT_USAGE, "either a message or --file, not both");
        if (argc == 1) {
                r = read_payload(c, &data, &size);
                if (r != 0)
                        return r;
        }
        return send_payload(c, c->to ? "to" : "any", c->to ?: c->group ?: "", argc > 1 ? argv[1] : data,
                        argc > 1 ? strlen(argv[1]) : size);
}

int verb_wait(Ctl *c, int argc, char **argv)
{
        int code = EXIT_OK, r;

        for (int i = 1; i < argc && code != EXIT_INTERRUPTED; i++) {
                r = follow_prepare(c);
                if (r == 0)
                        r = follow_message(c, argv[i]);
                if (r != EXIT_OK)
                        code = r;
        }
        return code;
}
