/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/str-util.h"
#include "client/bus/manager.h"
#include "client/link/peers.h"

static void on_drained(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        sd_bus_message *call = userdata;

        if (status == 204)
                (void) sd_bus_reply_method_return(call, NULL);
        else if (status == 404)
                (void) bus_fail(call, "NoSuchReceiver", "Discovery does not know that receiver (any more)");
        else if (status > 0)
                (void) bus_fail(call, "Discovery",
                                "Discovery refuses (HTTP status %d): it must be asked over its Unix"
                                " socket, or allow it by AllowTcpRegistration=",
                                status);
        else
                (void) bus_fail(call, "Discovery", "Discovery does not answer: %s", error->text);
        sd_bus_message_unref(call);
}

int bus_method_drain(sd_bus_message *call, void *userdata, sd_bus_error *bus_error)
{
        ClientBus *b = userdata;
        Client *c = &b->client;
        char id[SD_ID128_UUID_STRING_MAX];
        const char *word;
        int drain, r;
        Peer *p;

        r = sd_bus_message_read(call, "sb", &word, &drain);
        if (r < 0)
                return r;
        r = peer_find_by_word(c, word, &p);
        if (r < 0)
                return bus_fail(call, r == -ENOTUNIQ ? "AmbiguousReceiver" : "NoSuchReceiver",
                                r == -ENOTUNIQ ? "Several receivers are called \"%s\": use the whole name "
                                                 "or the id"
                                               : "No receiver \"%s\" is known",
                                word);
        _cleanup_free_ char *path =
                        str_format("/v1/receivers/%s/draining", sd_id128_to_uuid_string(p->info.id, id));
        if (!path)
                return -ENOMEM;
        HttpCall request = {
                        .method = "PUT",
                        .path = path,
                        .body = drain ? "{\"draining\": true}" : "{\"draining\": false}",
        };
        r = http_client_request(c->http, &c->discovery_address, &request, on_drained,
                        sd_bus_message_ref(call), NULL);
        if (r < 0)
                sd_bus_message_unref(call);
        return r < 0 ? r : 1;
}
