/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/send.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "ctl/bus.h"
#include "ctl/lines.h"
#include "ctl/options.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/verb.h"
#include "model/limits.h"

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

int send_payload(Ctl *c, Follow *f, const char *mode, const char *target, const void *payload, size_t size)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        const char *id;
        int r;

        r = bus_new_call(c, &call, "Send");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", mode, target);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', payload, size);
        if (r >= 0)
                r = options_append(c, call, NULL, NULL);
        if (r > 0)
                return r;
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "s", &id) < 0)
                return bus_bad_answer();
        if (f)
                return follow_message(f, id, mode);
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

/* Finds the mode from the options. If there is not exactly one, prints an error and returns EXIT_USAGE. */
static int find_mode(const Ctl *c, const char **ret)
{
        const struct {
                bool wanted;
                const char *mode;
        } modes[] = {
                        {c->to, "to"},
                        {c->any, "any"},
                        {c->all, "all"},
                        {c->quorum, "quorum"},
                        {c->key, "key"},
        };
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (modes[i].wanted) {
                        *ret = modes[i].mode;
                        n++;
                }
        if (n == 1)
                return 0;
        return ctl_fail(EXIT_USAGE,
                        "give %s --to RECEIVER, --any, --all, --quorum K, --key KEY"
                        " (see \"ackctl send --help\")",
                        n > 1 ? "only one of" : "one of");
}

/* Checks for options that exclude each other. `message`: the command line has a message. Returns 0 or
 * EXIT_USAGE. */
static int check_options(const Ctl *c, bool message)
{
        const struct {
                bool wrong;
                const char *problem;
        } rules[] = {
                        {c->to && (c->group || strv_length(c->labels) > 0 || c->include_plain),
                                        "--group, --label and --include-plain go with a group, not with "
                                        "--to"},
                        {c->follow_joins && !c->all, "--follow-joins goes with --all"},
                        {c->no_wait && !c->lines && c->timeout_usec > 0,
                                        "either --timeout or --no-wait, not both"},
                        {c->delay && c->at, "either --in or --at, not both"},
                        {message && (c->file || c->lines),
                                        "either a message or --file or --lines, not both"},
                        {c->lines && c->idempotency_key,
                                        "--idempotency-key names one message, --lines are many"},
                        {c->null && !c->lines, "--null goes with --lines"},
        };

        for (size_t i = 0; i < ELEMENTSOF(rules); i++)
                if (rules[i].wrong)
                        return ctl_fail(EXIT_USAGE, "%s", rules[i].problem);
        return 0;
}

int verb_send(Ctl *c, int argc, char **argv)
{
        const char *mode = NULL, *target = c->to ?: c->group ?: "", *message = argc > 1 ? argv[1] : NULL;
        _cleanup_(follow_freep) Follow *f = NULL;
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        int r;

        r = find_mode(c, &mode);
        if (r == 0)
                r = check_options(c, message);
        if (r != 0)
                return r;
        if (c->lines)
                return lines_send(c, mode, target);
        if (!message)
                r = read_payload(c, &data, &size);
        if (r == 0 && !c->no_wait)
                r = follow_new(c, &f);
        if (r != 0)
                return r;
        return send_payload(c, f, mode, target, message ?: data, message ? strlen(message) : size);
}
