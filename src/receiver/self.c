/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/self.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/random-pool.h"
#include "base/str-util.h"
#include "daemon/host.h"
#include "model/name.h"

static char *default_name(const ReceiverConfig *config)
{
        char host[HOST_NAME_MAX + 1] = "";

        (void) gethostname(host, sizeof host - 1);
        return config->instance ? str_format("%s@%s", config->instance, host)
                                : str_format("%d@%s", (int) getpid(), host);
}

static int find_name(ReceiverInfo *info, const ReceiverConfig *config, Error *error)
{
        info->name = config->name ? strdup(config->name) : default_name(config);
        info->group = strdup(config->group ?: "default");
        if (!info->name || !info->group)
                return -ENOMEM;
        if (!name_is_valid(info->name))
                return error_set(error, -EINVAL,
                                "\"%s\"%s is not a valid name (1 to %u letters, digits and ._@:-, beginning "
                                "with a "
                                "letter or digit): set Name=",
                                info->name, config->name ? "" : ", from the instance and the host name,",
                                NAME_MAX_LENGTH);
        if (!name_is_valid(info->group))
                return error_set(error, -EINVAL, "Group=%s is not a valid name", info->group);
        return 0;
}

static int find_labels(ReceiverInfo *info, const ReceiverConfig *config, Error *error)
{
        size_t n = strv_length(config->labels);
        int r = 0;

        if (n > LABELS_MAX)
                return error_set(error, -EINVAL, "at most %u labels", LABELS_MAX);
        info->labels = calloc(LABELS_MAX, sizeof *info->labels);
        if (!info->labels)
                return -ENOMEM;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = label_parse(config->labels[i], info->labels + info->n_labels++, error);
        return r;
}

static int check_advertise(const ReceiverConfig *config, Error *error)
{
        Address a;
        int r = 0;

        if (strv_length(config->advertise) > ADDRESSES_MAX)
                return error_set(error, -EINVAL, "at most %u addresses can be advertised", ADDRESSES_MAX);
        for (char **s = config->advertise; s && *s && r >= 0; s++)
                r = address_parse(*s, &a, error);
        return r;
}

int self_describe(ReceiverInfo *info, const ReceiverConfig *config, Error *error)
{
        int r;

        r = find_name(info, config, error);
        if (r >= 0)
                r = find_labels(info, config, error);
        if (r >= 0)
                r = random_uuid(NULL, info->instance.bytes);
        if (r >= 0)
                r = check_advertise(config, error);
        if (r < 0)
                return r;
        info->capacity = config_capacity(config);
        info->host = host_mark();
        info->addresses = calloc(ADDRESSES_MAX, sizeof *info->addresses);
        return info->addresses ? 0 : -ENOMEM;
}

/* Addresses. */

bool self_needs_local_ip(const ReceiverConfig *config, const ListenerSet *listeners)
{
        if (strv_length(config->advertise) > 0)
                return false;
        for (size_t i = 0; i < listeners->n; i++)
                if (address_is_wildcard(&listeners->listeners[i].address))
                        return true;
        return false;
}

static void add_address(ReceiverInfo *info, const Address *a)
{
        if (info->n_addresses < ADDRESSES_MAX)
                info->addresses[info->n_addresses++] = *a;
}

/* Where others reach a socket that listens on all addresses. One of IPv6 takes IPv4, too, but not the other
 * way round. NULL: that is not known. */
static const char *find_host(const Address *wildcard, const char *local_ip)
{
        if (str_empty(local_ip) || strchr(wildcard->host, ':') || !strchr(local_ip, ':'))
                return str_empty(local_ip) ? NULL : local_ip;
        return str_equal(local_ip, "::1") ? "127.0.0.1" : NULL;
}

static void add_listeners(
                ReceiverInfo *info, const ListenerSet *listeners, AddressKind kind, const char *local_ip)
{
        for (size_t i = 0; i < listeners->n; i++) {
                Address a = listeners->listeners[i].address;

                if (a.kind != kind)
                        continue;
                if (address_is_wildcard(&a)) {
                        const char *host = find_host(&a, local_ip);

                        if (!host || strlen(host) >= sizeof a.host)
                                continue;
                        strcpy(a.host, host);
                }
                add_address(info, &a);
        }
}

int self_find_addresses(ReceiverInfo *info, const ReceiverConfig *config, const ListenerSet *listeners,
                const char *local_ip)
{
        Address a;

        info->n_addresses = 0;
        for (char **s = config->advertise; s && *s; s++)
                if (address_parse(*s, &a, NULL) >= 0)
                        add_address(info, &a);
        if (strv_length(config->advertise) == 0) {
                /* Clients try them in this order: Unix sockets first, they are the nearest. */
                add_listeners(info, listeners, ADDRESS_UNIX, local_ip);
                add_listeners(info, listeners, ADDRESS_TCP, local_ip);
        }
        return info->n_addresses > 0 ? 0 : -EADDRNOTAVAIL;
}
