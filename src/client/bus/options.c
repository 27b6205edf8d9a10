/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/options.h"

#include <errno.h>
#include <inttypes.h>

#include "base/str-util.h"
#include "client/bus/reply.h"

static int add_label(const char *word, void *userdata, Error *error)
{
        Submission *s = &((BulkOptions *) userdata)->submission;

        if (s->n_labels >= LABELS_MAX)
                return error_set(error, -EINVAL, "label: at most %u", LABELS_MAX);
        return label_parse(word, s->labels + s->n_labels++, error);
}

typedef struct SendOption {
        const char *name;
        const char *type;
        size_t offset; /* of the field in BulkOptions */
        uint64_t min, max;
        enum { AS_NUMBER, AS_DURATION, AS_INSTANT } kind; /* how an error text shows the limits */
} SendOption;

#define OPTION(field) offsetof(BulkOptions, field)
#define FIELD(field)  OPTION(submission.field)

/* Durations and instants in µs. */
static const SendOption send_options[] = {
                {"label", "as", 0, 0, 0},
                {"include_plain", "b", FIELD(plain), 0, 0},
                {"follow_joins", "b", FIELD(follow), 0, 0},
                {"quorum", "u", FIELD(quorum), 1, MEMBERS_MAX},
                {"key", "s", FIELD(key), 0, 0},
                {"idempotency_key", "s", FIELD(idempotency_key), 0, 0},
                {"ack_timeout", "t", FIELD(policy.ack_timeout_usec), 100 * USEC_PER_MSEC,
                                86400 * USEC_PER_SEC, AS_DURATION},
                {"backoff", "t", FIELD(policy.backoff_usec), 0, 86400 * USEC_PER_SEC, AS_DURATION},
                {"backoff_max", "t", FIELD(policy.backoff_max_usec), 0, 86400 * USEC_PER_SEC, AS_DURATION},
                {"max_attempts", "t", FIELD(policy.max_attempts), 0, UINT32_MAX},
                {"deadline", "t", FIELD(policy.deadline_usec), 1, INT64_MAX, AS_INSTANT},
                {"at", "t", FIELD(policy.start_usec), 1, INT64_MAX, AS_INSTANT},
                {"delay", "t", FIELD(delay_usec), 1, INT64_MAX, AS_DURATION},
                {"priority", "u", FIELD(policy.priority), 0, PRIORITY_MAX},
                {"durability", "s", OPTION(durability), 0, 0},
};

static const SendOption stream_options[] = {
                {"mode", "s", OPTION(mode), 0, 0},
                {"target", "s", FIELD(target), 0, 0},
                {"settlements", "b", OPTION(settlements), 0, 0},
                {"signals", "b", OPTION(signals), 0, 0},
                {"reply_cut", "b", OPTION(reply_cut), 0, 0},
};

static const SendOption *find_option(const char *name, bool stream)
{
        for (size_t i = 0; i < ELEMENTSOF(send_options); i++)
                if (str_equal(name, send_options[i].name))
                        return send_options + i;
        for (size_t i = 0; stream && i < ELEMENTSOF(stream_options); i++)
                if (str_equal(name, stream_options[i].name))
                        return stream_options + i;
        return NULL;
}

static int check_range(const SendOption *o, uint64_t value, Error *error)
{
        if (value >= o->min && value <= o->max)
                return 0;
        char from[DURATION_MAX], to[DURATION_MAX];

        if (o->kind == AS_INSTANT)
                return error_set(error, -EINVAL, "%s: a time behind 1970-01-01, in µs since then", o->name);
        if (o->kind == AS_DURATION)
                return error_set(error, -EINVAL, "%s: from %s to %s", o->name, format_duration(from, o->min),
                                format_duration(to, o->max));
        return error_set(error, -EINVAL, "%s: from %" PRIu64 " to %" PRIu64, o->name, o->min, o->max);
}

static int read_value(sd_bus_message *call, const SendOption *o, BulkOptions *s, Error *error)
{
        void *field = (char *) s + o->offset;
        uint64_t number;
        int flag, r;

        switch (o->type[0]) {
        case 'a':
                return bus_read_words(call, add_label, s, error);
        case 'b':
                r = sd_bus_message_read(call, "v", "b", &flag);
                if (r >= 0)
                        *(bool *) field = flag;
                return r;
        case 'u':
        case 't':
                r = bus_read_number(call, &number);
                if (r >= 0)
                        r = check_range(o, number, error);
                if (r >= 0 && o->type[0] == 't')
                        *(uint64_t *) field = number;
                else if (r >= 0)
                        *(unsigned *) field = (unsigned) number;
                return r;
        default:
                return sd_bus_message_read(call, "v", "s", field);
        }
}

int bus_read_send_options(sd_bus_message *call, bool stream, BulkOptions *ret, Error *error)
{
        const char *name;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
                r = sd_bus_message_read(call, "s", &name);
                if (r < 0)
                        return r;
                const SendOption *o = find_option(name, stream);
                if (!o)
                        return error_set(error, -EINVAL, "Unknown option \"%s\"", name);
                r = read_value(call, o, ret, error);
                if (r < 0 && error->text[0])
                        return r;
                if (r < 0)
                        return error_set(error, -EINVAL,
                                        "Option \"%s\" is of the wrong type, it is a \"%s\"", name, o->type);
                r = sd_bus_message_exit_container(call);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        if (r < 0)
                return r;
        ret->submission.transient = str_equal(ret->durability, "memory");
        if (ret->durability && !ret->submission.transient && !str_equal(ret->durability, "durable"))
                return error_set(error, -EINVAL, "durability: \"durable\" or \"memory\"");
        return 0;
}

int bus_read_mode(const char *mode, SelectorMode *ret, Error *error)
{
        int r = selector_mode_from_string(mode);

        if (r < 0)
                return error_set(error, -EINVAL,
                                "Unknown mode \"%s\": it is \"to\", \"any\", \"all\", \"quorum\" or \"key\"",
                                mode);
        *ret = (SelectorMode) r;
        return 0;
}
