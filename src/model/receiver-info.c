/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/receiver-info.h"

#include <errno.h>

#include "base/str-util.h"
#include "model/name.h"

void receiver_info_clear(ReceiverInfo *info)
{
        free(info->name);
        free(info->group);
        free(info->labels);
        free(info->addresses);
        *info = (ReceiverInfo){};
}

static int copy_array(const void *from, size_t n, size_t size, void *ret)
{
        void *copy = NULL;

        if (n > 0) {
                copy = reallocarray(NULL, n, size);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, from, n * size);
        }
        *(void **) ret = copy;
        return 0;
}

int receiver_info_copy(const ReceiverInfo *from, ReceiverInfo *ret)
{
        ReceiverInfo copy = *from;

        copy.name = NULL, copy.group = NULL, copy.labels = NULL, copy.addresses = NULL;
        if (str_replace(&copy.name, from->name) < 0 || str_replace(&copy.group, from->group) < 0 ||
                        copy_array(from->labels, from->n_labels, sizeof *from->labels, &copy.labels) < 0 ||
                        copy_array(from->addresses, from->n_addresses, sizeof *from->addresses,
                                        &copy.addresses) < 0) {
                receiver_info_clear(&copy);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

static bool address_equal(const Address *a, const Address *b)
{
        return a->kind == b->kind && a->port == b->port && str_equal(a->host, b->host);
}

static bool is_known(sd_id128_t a, sd_id128_t b)
{
        return !sd_id128_is_null(a) && !sd_id128_is_null(b);
}

bool host_mark_differs(const HostMark *a, const HostMark *b)
{
        if (!is_known(a->boot, b->boot) || sd_id128_equal(a->boot, b->boot))
                return false;
        return !is_known(a->machine, b->machine) || !sd_id128_equal(a->machine, b->machine);
}

bool receiver_info_equal(const ReceiverInfo *a, const ReceiverInfo *b)
{
        if (!sd_id128_equal(a->id, b->id) || !sd_id128_equal(a->instance, b->instance) ||
                        !str_equal(a->name, b->name) || !str_equal(a->group, b->group) ||
                        a->n_labels != b->n_labels || a->n_addresses != b->n_addresses ||
                        a->capacity != b->capacity || a->plain != b->plain || a->draining != b->draining ||
                        !sd_id128_equal(a->host.machine, b->host.machine) ||
                        !sd_id128_equal(a->host.boot, b->host.boot))
                return false;
        for (size_t i = 0; i < a->n_addresses; i++)
                if (!address_equal(a->addresses + i, b->addresses + i))
                        return false;
        return receiver_info_has_labels(a, b->labels, b->n_labels);
}

int label_parse(const char *s, Label *ret, Error *error)
{
        Label label = {};
        const char *equals = strchr(s, '=');
        size_t n = equals ? (size_t) (equals - s) : 0;

        if (!equals || n > NAME_MAX_LENGTH || strlen(equals + 1) > NAME_MAX_LENGTH)
                return error_set(error, -EINVAL, "label \"%s\" is not of the form KEY=VALUE", s);
        memcpy(label.key, s, n);
        strcpy(label.value, equals + 1);
        if (!name_is_valid(label.key) || !name_is_valid(label.value))
                return error_set(error, -EINVAL,
                                "label \"%s\": key and value are made of letters, digits and ._@:-", s);
        *ret = label;
        return 0;
}

bool receiver_info_has_labels(const ReceiverInfo *info, const Label *selectors, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                bool found = false;

                for (size_t k = 0; k < info->n_labels && !found; k++)
                        found = str_equal(info->labels[k].key, selectors[i].key) &&
                                str_equal(info->labels[k].value, selectors[i].value);
                if (!found)
                        return false;
        }
        return true;
}
