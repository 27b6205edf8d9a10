/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/drain.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "client/state/peer.h"

typedef struct Drain Drain;
struct Drain {
        Client *client;
        HttpRequest *request;
        DrainDone done;
        void *userdata;
        Drain *prev, *next;
};

static void end(Drain *d, int status, const char *problem)
{
        DL_DELETE(d->client->drains, d);
        d->done(status, problem, d->userdata);
        free(d);
}

static void on_answer(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        end(userdata, status, status > 0 ? "" : error->text);
}

void drains_end(Client *c)
{
        while (c->drains) {
                http_request_cancel(c->drains->request);
                end(c->drains, -ESHUTDOWN, "the client stops");
        }
}

int client_drain(Client *c, const char *receiver, bool drain, DrainDone done, void *userdata)
{
        char id[SD_ID128_UUID_STRING_MAX];
        Peer *p;
        int r;

        r = peer_find_by_word(c, receiver, &p);
        if (r < 0)
                return r;
        _cleanup_free_ char *path =
                        str_format("/v1/receivers/%s/draining", sd_id128_to_uuid_string(p->info.id, id));
        Drain *d = malloc(sizeof *d);
        if (!path || !d) {
                free(d);
                return -ENOMEM;
        }
        *d = (Drain){.client = c, .done = done, .userdata = userdata};
        HttpCall request = {
                        .method = "PUT",
                        .path = path,
                        .body = drain ? "{\"draining\": true}" : "{\"draining\": false}",
        };
        r = http_client_request(c->http, &c->discovery_address, &request, on_answer, d, &d->request);
        if (r < 0) {
                free(d);
                return r;
        }
        DL_APPEND(c->drains, d);
        return 0;
}
