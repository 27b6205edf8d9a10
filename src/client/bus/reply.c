/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse-util.h"
#include "base/str-util.h"

int bus_fail(sd_bus_message *call, const char *name, const char *format, ...)
{
        _cleanup_free_ char *full = str_format("org.ackgroup.Error.%s", name), *shown = NULL;
        char text[ERROR_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        /* The text quotes arguments, and may be cut within a character. D-Bus takes no such text. */
        shown = str_printable(text, strlen(text), sizeof text);
        return full && shown ? sd_bus_reply_method_errorf(call, full, "%s", shown) : -ENOMEM;
}

int bus_fail_argument(sd_bus_message *call, int r, const Error *error)
{
        return error->text[0] ? bus_fail(call, "InvalidArgument", "%s", error->text) : r;
}

int bus_fail_too_many(sd_bus_message *call, int r)
{
        return r == -EUSERS ? sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                              "Too many calls are waiting already")
                            : r;
}

int bus_fail_look_up(sd_bus_message *call, int r)
{
        const char *id = "";

        (void) sd_bus_message_rewind(call, true);
        (void) sd_bus_message_read(call, "s", &id);
        switch (r) {
        case -ENOENT:
                return bus_fail(call, "NoSuchMessage", "No message \"%s\" is known", id);
        case -ENOTUNIQ:
                return bus_fail(call, "AmbiguousMessage",
                                "Several messages begin with \"%s\": give more of the id", id);
        case -EINVAL:
                return bus_fail(call, "InvalidArgument",
                                "\"%s\" is neither a message id nor at least 6 digits of one", id);
        default:
                return bus_fail(call, "Storage", "The outbox cannot be read: %s", strerror(-r));
        }
}

void bus_send_reply(sd_bus_message *call, sd_bus_message *reply, int r)
{
        if (r >= 0)
                (void) sd_bus_send(sd_bus_message_get_bus(call), reply, NULL);
        else
                (void) sd_bus_reply_method_errno(call, r, NULL);
        sd_bus_message_unref(reply);
}

int bus_read_words(sd_bus_message *call, int (*take)(const char *word, void *userdata, Error *error),
                void *userdata, Error *error)
{
        const char *word;
        int r;

        r = sd_bus_message_enter_container(call, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(call, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(call, "s", &word)) > 0)
                r = take(word, userdata, error);
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

int bus_read_number(sd_bus_message *call, uint64_t *ret)
{
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
        } value;
        const char *type;
        int64_t number;
        int r;

        r = sd_bus_message_peek_type(call, NULL, &type);
        if (r >= 0 && (strlen(type) != 1 || !strchr("ynqiuxt", type[0])))
                return -ENXIO;
        if (r >= 0)
                r = sd_bus_message_read(call, "v", type, &value);
        if (r < 0)
                return r;
        switch (type[0]) {
        case 'y':
                *ret = value.y;
                return r;
        case 'q':
                *ret = value.q;
                return r;
        case 'u':
                *ret = value.u;
                return r;
        case 't':
                *ret = value.t;
                return r;
        default:
                number = type[0] == 'n' ? value.n : type[0] == 'i' ? value.i : value.x;
                *ret = number < 0 ? UINT64_MAX : (uint64_t) number;
                return r;
        }
}

int bus_read_limit(sd_bus_message *call, uint32_t max, uint32_t *ret, Error *error)
{
        uint64_t number;
        int r = bus_read_number(call, &number);

        if (r < 0)
                return r;
        if (number < 1 || number > max)
                return error_set(error, -EINVAL, "limit: from 1 to %u", max);
        *ret = (uint32_t) number;
        return r;
}

int bus_read_after(sd_bus_message *call, uint64_t max, uint64_t *ret, Error *error)
{
        const char *after;
        int r = sd_bus_message_read(call, "v", "s", &after);

        if (r >= 0 && after[0] != '\0' && parse_u64(after, 1, max, ret) < 0)
                return error_set(error, -EINVAL, "after: not the \"next\" of an earlier page");
        return r;
}

int bus_read_filter(sd_bus_message *call,
                int (*take)(sd_bus_message *call, const char *key, void *userdata, Error *error),
                void *userdata, Error *error)
{
        const char *key;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
                r = sd_bus_message_read(call, "s", &key);
                if (r < 0)
                        return r;
                r = take(call, key, userdata, error);
                if (r < 0 && error->text[0] == '\0')
                        return error_set(error, -EINVAL, "Filter \"%s\" is %s", key,
                                        r == -ENOENT ? "not known" : "of the wrong type");
                if (r < 0)
                        return -EINVAL;
                r = sd_bus_message_exit_container(call);
        }
        return r < 0 ? r : sd_bus_message_exit_container(call);
}
