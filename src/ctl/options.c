/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/print.h"
#include "ctl/suggest.h"

#define FIELD(name) offsetof(Ctl, name)

const Option options_table[_OPTION_MAX] = {
                [OPTION_TO] = {0, "to", "RECEIVER", "this receiver: name (with or without @HOST) or id",
                                OPTION_TEXT, FIELD(to)},
                [OPTION_ANY] = {0, "any", NULL, "one receiver with room, of all groups or of --group",
                                OPTION_FLAG, FIELD(any)},
                [OPTION_ALL_RECEIVERS] = {'a', "all", NULL, "every receiver; done when all have acked",
                                OPTION_FLAG, FIELD(all)},
                [OPTION_QUORUM] = {0, "quorum", "K", "every receiver; done when K have acked", OPTION_TEXT,
                                FIELD(quorum), CALL_U32, "quorum"},
                [OPTION_KEY] = {0, "key", "KEY", "same KEY: same receiver, in order", OPTION_TEXT,
                                FIELD(key), CALL_TEXT, "key"},
                [OPTION_GROUP] = {'g', "group", "GROUP", "only receivers of this group", OPTION_TEXT,
                                FIELD(group)},
                [OPTION_LABEL] = {'l', "label", "KEY=VALUE", "only receivers with this label; repeatable",
                                OPTION_LIST, FIELD(labels), CALL_LIST, "label"},
                [OPTION_INCLUDE_PLAIN] = {0, "include-plain", NULL, "also receivers of plain text",
                                OPTION_FLAG, FIELD(include_plain), CALL_FLAG, "include_plain"},
                [OPTION_FOLLOW_JOINS] = {0, "follow-joins", NULL,
                                "with --all: also receivers that join later", OPTION_FLAG,
                                FIELD(follow_joins), CALL_FLAG, "follow_joins"},
                [OPTION_IN] = {0, "in", "TIME", "start when this time is over (10m)", OPTION_TEXT,
                                FIELD(delay), CALL_DURATION, "delay"},
                [OPTION_AT] = {0, "at", "TIME", "start at this time (18:00, 2030-01-31 18:00)", OPTION_TEXT,
                                FIELD(at), CALL_INSTANT, "at"},
                [OPTION_DEADLINE] = {0, "deadline", "TIME", "dead after this time (18:00, or 10m from now)",
                                OPTION_TEXT, FIELD(deadline), CALL_END, "deadline"},
                [OPTION_MAX_ATTEMPTS] = {0, "max-attempts", "N", "dead after N attempts; 0: no limit",
                                OPTION_TEXT, FIELD(max_attempts), CALL_U64, "max_attempts"},
                [OPTION_ACK_TIMEOUT] = {0, "ack-timeout", "TIME", "send again if no ack comes in this time",
                                OPTION_TEXT, FIELD(ack_timeout), CALL_DURATION, "ack_timeout"},
                [OPTION_BACKOFF] = {0, "backoff", "TIME",
                                "pause after a failure, doubled each time; 0: none", OPTION_TEXT,
                                FIELD(backoff), CALL_DURATION, "backoff"},
                [OPTION_BACKOFF_MAX] = {0, "backoff-max", "TIME", "the longest such pause", OPTION_TEXT,
                                FIELD(backoff_max), CALL_DURATION, "backoff_max"},
                [OPTION_PRIORITY] = {0, "priority", "0…9", "a higher number goes first; default 4",
                                OPTION_TEXT, FIELD(priority), CALL_U32, "priority"},
                [OPTION_IDEMPOTENCY_KEY] = {0, "idempotency-key", "KEY",
                                "two messages with the same key are one", OPTION_TEXT,
                                FIELD(idempotency_key), CALL_TEXT, "idempotency_key"},
                [OPTION_FILE] = {'f', "file", "FILE", "send the content of FILE; - is standard input",
                                OPTION_TEXT, FIELD(file)},
                [OPTION_LINES] = {0, "lines", NULL, "send every line of the input as a message", OPTION_FLAG,
                                FIELD(lines)},
                [OPTION_NULL] = {0, "null", NULL, "with --lines: NUL ends a message, not newline",
                                OPTION_FLAG, FIELD(null)},
                [OPTION_DURABILITY] = {0, "durability", "HOW",
                                "durable (default), or memory: lost in a crash", OPTION_TEXT,
                                FIELD(durability), CALL_TEXT, "durability"},
                [OPTION_NO_WAIT] = {0, "no-wait", NULL, "print the id and do not wait", OPTION_FLAG,
                                FIELD(no_wait)},
                [OPTION_TIMEOUT] = {'t', "timeout", "TIME", "wait no longer than this (5s, 1min)",
                                OPTION_DURATION, FIELD(timeout_usec)},
                [OPTION_STATE] = {0, "state", "STATE", "only messages in this state; repeatable",
                                OPTION_LIST, FIELD(states)},
                [OPTION_LIMIT] = {'n', "limit", "NUMBER", "how many messages; default 100", OPTION_NUMBER,
                                FIELD(limit)},
                [OPTION_ALL_MESSAGES] = {'a', "all", NULL, "all messages on disk", OPTION_FLAG, FIELD(all)},
                [OPTION_ALL_DEAD_LETTERS] = {'a', "all", NULL, "list, retry, purge: every dead letter",
                                OPTION_FLAG, FIELD(all)},
                [OPTION_ALL_NAMES] = {'a', "all", NULL, "also receivers that left: messages to them wait",
                                OPTION_FLAG, FIELD(all)},
                [OPTION_JSON] = {0, "json", "MODE", "short, pretty or off", OPTION_MODE, FIELD(json)},
                [OPTION_J] = {'j', NULL, NULL, "as --json=pretty on a terminal, else --json=short",
                                OPTION_FIT_MODE, FIELD(json)},
                [OPTION_NO_PAGER] = {0, "no-pager", NULL, "do not show long output in a pager", OPTION_FLAG,
                                FIELD(no_pager)},
                [OPTION_NO_LEGEND] = {0, "no-legend", NULL, "no titles and no totals", OPTION_FLAG,
                                FIELD(no_legend)},
                [OPTION_SYSTEM] = {0, "system", NULL, "the system's client", OPTION_FLAG, FIELD(system)},
                [OPTION_USER] = {0, "user", NULL, "the client of this user's session", OPTION_FLAG,
                                FIELD(user)},
                [OPTION_HOST] = {'H', "host", "[USER@]HOST", "the client on another host, over SSH",
                                OPTION_TEXT, FIELD(host)},
                [OPTION_MACHINE] = {'M', "machine", "CONTAINER", "the client in a local container",
                                OPTION_TEXT, FIELD(machine)},
                [OPTION_NO_ASK_PASSWORD] = {0, "no-ask-password", NULL, "never ask for a password",
                                OPTION_FLAG, FIELD(no_ask_password)},
                [OPTION_HELP] = {'h', "help", NULL, "show this help; also for each verb", OPTION_FLAG,
                                FIELD(help)},
                [OPTION_VERSION] = {0, "version", NULL, "show the version", OPTION_FLAG, FIELD(version)},
};

static int set_json(JsonMode *mode, const char *value)
{
        static const char *const modes[_JSON_MODE_MAX] = {"off", "short", "pretty"};

        for (unsigned i = 0; i < ELEMENTSOF(modes); i++)
                if (str_equal(value, modes[i])) {
                        *mode = i;
                        return 0;
                }
        return ctl_fail(EXIT_USAGE, "--json is \"short\", \"pretty\" or \"off\", not \"%s\"", value);
}

/* Returns 0, or an exit code after printing the reason. */
static int set_option(Ctl *c, const Option *o, const char *value)
{
        void *field = (char *) c + o->offset;

        switch (o->kind) {
        case OPTION_FLAG:
                *(bool *) field = true;
                return 0;
        case OPTION_TEXT:
                *(const char **) field = value;
                return 0;
        case OPTION_LIST:
                return strv_append(field, value) < 0 ? ctl_fail(EXIT_FAILED, "out of memory") : 0;
        case OPTION_DURATION:
                return parse_duration(value, field) >= 0
                                       ? 0
                                       : ctl_fail(EXIT_USAGE, "--%s is a time like 5s or 1min, not \"%s\"",
                                                         o->name, value);
        case OPTION_NUMBER:
                return parse_unsigned(value, 1, UINT32_MAX, field) >= 0
                                       ? 0
                                       : ctl_fail(EXIT_USAGE, "--%s is a number from 1, not \"%s\"", o->name,
                                                         value);
        case OPTION_MODE:
                return set_json(field, value);
        case OPTION_FIT_MODE:
                *(JsonMode *) field = c->out_is_terminal ? JSON_PRETTY : JSON_SHORT;
                return 0;
        }
        return EXIT_USAGE;
}

/* Returns the first option with the same name. */
static OptionId first_of_name(OptionId id)
{
        OptionId first = 0;

        while (!str_equal(options_table[first].name, options_table[id].name))
                first++;
        return first;
}

#define LONG_FIRST 256 /* above every letter */

/* `longs` must have room for _OPTION_MAX + 1 entries, `letters` for 2 * _OPTION_MAX + 1 bytes. */
static void make_getopt(struct option *longs, char *letters)
{
        for (OptionId id = 0; id < _OPTION_MAX; id++) {
                const Option *o = options_table + id;

                if (first_of_name(id) != id)
                        continue;
                if (o->name)
                        *longs++ = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                        (int) (LONG_FIRST + id)};
                if (o->letter) {
                        *letters++ = o->letter;
                        if (o->value)
                                *letters++ = ':';
                }
        }
        *longs = (struct option){};
        *letters = '\0';
}

static OptionId id_of_getopt(int found)
{
        OptionId id = 0;

        if (found >= LONG_FIRST)
                return (OptionId) (found - LONG_FIRST);
        while (options_table[id].letter != found)
                id++;
        return id;
}

static int check_bus(const Ctl *c)
{
        if (c->user && c->system)
                return ctl_fail(EXIT_USAGE, "--user and --system exclude each other");
        if (c->user && c->host)
                return ctl_fail(EXIT_USAGE, "--host reaches the system's client only, not --user");
        if (c->host && c->machine)
                return ctl_fail(EXIT_USAGE, "--host and --machine exclude each other");
        if ((c->host && str_empty(c->host)) || (c->machine && str_empty(c->machine)))
                return ctl_fail(EXIT_USAGE, "--host and --machine need a name");
        return 0;
}

/* getopt has already said what is wrong with the word. For a long option that is not known, optopt is 0. */
static int wrong_option(const char *word)
{
        const char *name = str_after_prefix(word, "--") ?: "";
        _cleanup_free_ char *typed = strndup(name, strcspn(name, "="));
        const Option *near = NULL;

        for (OptionId id = 0; id < _OPTION_MAX && !str_empty(typed) && optopt == 0; id++) {
                const Option *o = options_table + id;

                if (str_equal(o->name, typed))
                        return EXIT_USAGE; /* its value is what is wrong */
                if (!near && o->name && suggest_is_near(typed, o->name))
                        near = o;
        }
        if (near)
                fprintf(stderr, "Did you mean \"--%s\"?\n", near->name);
        else
                fputs("\"ackctl --help\" shows the options.\n", stderr);
        return EXIT_USAGE;
}

int options_parse(Ctl *c, int argc, char **argv, uint64_t *ret_seen, int *ret_argc, char ***ret_argv)
{
        struct option longs[_OPTION_MAX + 1];
        char letters[2 * _OPTION_MAX + 1];
        uint64_t seen = 0;
        int found, r;

        make_getopt(longs, letters);
        optind = 0; /* restarts getopt */
        while ((found = getopt_long(argc, argv, letters, longs, NULL)) >= 0) {
                if (found == '?')
                        return wrong_option(argv[optind - 1]);
                OptionId id = id_of_getopt(found);
                seen |= OPTION_BIT(id);
                r = set_option(c, options_table + id, optarg);
                if (r != 0)
                        return r;
        }
        r = check_bus(c);
        if (r != 0)
                return r;
        *ret_seen = seen;
        *ret_argc = argc - optind;
        *ret_argv = argv + optind;
        return 0;
}

/* True if `taken` has this option or another one with the same name. */
static bool is_taken(OptionId id, uint64_t taken)
{
        for (OptionId other = 0; other < _OPTION_MAX; other++)
                if (taken & OPTION_BIT(other) && first_of_name(other) == first_of_name(id))
                        return true;
        return false;
}

const char *options_find_excess(uint64_t seen, uint64_t taken)
{
        for (OptionId id = 0; id < _OPTION_MAX; id++)
                if (seen & OPTION_BIT(id) && !is_taken(id, taken))
                        return options_table[id].name;
        return NULL;
}

void options_clear(Ctl *c)
{
        c->labels = strv_free(c->labels);
        c->states = strv_free(c->states);
}

/* Returns 0, or an exit code after printing the reason. */
static int parse_value(const Option *o, const char *text, uint64_t *ret)
{
        CallKind kind = o->call_kind;
        int r;

        if (kind == CALL_U32 || kind == CALL_U64)
                return parse_u64(text, 0, UINT32_MAX, ret) >= 0
                                       ? 0
                                       : ctl_fail(EXIT_USAGE, "--%s is a number, not \"%s\"", o->name, text);
        r = kind == CALL_INSTANT ? -EINVAL : parse_duration(text, ret);
        if (r >= 0 && kind == CALL_END)
                *ret = usec_add(now_usec(CLOCK_REALTIME), *ret);
        if (r < 0 && kind != CALL_DURATION)
                r = parse_timestamp(text, ret);
        if (r >= 0 && *ret == 0 && kind == CALL_DURATION && o == options_table + OPTION_IN)
                return ctl_fail(EXIT_USAGE, "--in is a time above 0; without it the message goes at once");
        if (r >= 0)
                return 0;
        return ctl_fail(EXIT_USAGE, "--%s is a time like %s, not \"%s\"", o->name,
                        kind == CALL_INSTANT    ? "18:00 or \"2030-01-31 18:00\""
                        : kind == CALL_DURATION ? "30s or 10m"
                                                : "10m or 18:00",
                        text);
}

static int append_list(sd_bus_message *call, const char *name, char **list)
{
        int r;

        r = sd_bus_message_open_container(call, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(call, list);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* Returns 0, a negative errno, or an exit code after printing the reason. */
static int append_text(sd_bus_message *call, const Option *o, const char *text)
{
        uint64_t value;
        int r;

        if (o->call_kind == CALL_TEXT)
                return MIN(sd_bus_message_append(call, "{sv}", o->call_name, "s", text), 0);
        r = parse_value(o, text, &value);
        if (r != 0)
                return r;
        r = o->call_kind == CALL_U32
                            ? sd_bus_message_append(call, "{sv}", o->call_name, "u", (uint32_t) value)
                            : sd_bus_message_append(call, "{sv}", o->call_name, "t", value);
        return MIN(r, 0);
}

static int append_option(const Ctl *c, sd_bus_message *call, const Option *o)
{
        const void *field = (const char *) c + o->offset;
        const char *text;
        char **list;

        switch (o->call_kind) {
        case CALL_NOT:
                return 0;
        case CALL_FLAG:
                if (!*(const bool *) field)
                        return 0;
                return MIN(sd_bus_message_append(call, "{sv}", o->call_name, "b", 1), 0);
        case CALL_LIST:
                list = *(char **const *) field;
                return strv_length(list) > 0 ? MIN(append_list(call, o->call_name, list), 0) : 0;
        default:
                text = *(const char *const *) field;
                return text ? append_text(call, o, text) : 0;
        }
}

int options_append(const Ctl *c, sd_bus_message *call, const char *stream_mode, const char *target)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && stream_mode)
                r = sd_bus_message_append(call, "{sv}{sv}{sv}{sv}", "mode", "s", stream_mode, "target", "s",
                                target, "settlements", "b", !c->no_wait, "reply_cut", "b", 1);
        r = MIN(r, 0);
        for (OptionId id = 0; id < _OPTION_MAX && r == 0; id++)
                r = append_option(c, call, options_table + id);
        return r != 0 ? r : MIN(sd_bus_message_close_container(call), 0);
}
