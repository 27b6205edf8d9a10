/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/trip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "world/link.h"
#include "world/names.h"

static Trip *trips;
static unsigned to_lose[PROCESSES_MAX];

void http_client_world_begin(void)
{
        trips = NULL;
        memset(to_lose, 0, sizeof to_lose);
}

void net_lose_answers(Process *p, unsigned n)
{
        assert(process_index(p) < PROCESSES_MAX);
        to_lose[process_index(p)] = n;
}

static void trip_free(Trip *t)
{
        event_unset(&t->step);
        free(t->seen.server);
        free(t->seen.method);
        free(t->seen.path);
        free(t->seen.token);
        free(t->seen.body);
        free(t->body);
        DL_DELETE2(trips, t, prev, next_trip);
        free(t);
}

/* A test keeps its view of the requests of a world without processes. */
static void trip_check(Trip *t)
{
        if (!t->changed && !t->is_at_server && !t->is_of_test)
                trip_free(t);
}

void trip_leave(Trip *t)
{
        t->changed = NULL;
        event_unset(&t->step);
        trip_check(t);
}

void http_client_world_end(void)
{
        while (trips)
                trip_free(trips);
}

Trip *trip_new(const Address *server, const HttpInput *input, void (*changed)(void *userdata),
                void *userdata)
{
        char text[ADDRESS_STRING_MAX];
        Trip *t = calloc(1, sizeof *t);

        assert(t);
        t->process = process_current();
        t->is_of_test = !t->process || (server->kind == ADDRESS_UNIX && !machine_of_path(server->host));
        t->server = *server;
        t->seen.server = http_copy(address_format(server, text));
        t->seen.method = http_copy(input->method);
        t->seen.path = http_copy(input->path);
        t->seen.token = http_copy(input->token);
        t->seen.body = http_copy(input->body);
        t->seen.is_open = true;
        t->changed = changed;
        t->userdata = userdata;
        t->step = (WorldCall){.userdata = t};
        heap_item_init(&t->step.item);
        DL_APPEND2(trips, t, prev, next_trip);
        return t;
}

/* `body` may be the present one. */
static void set_body(Trip *t, const void *body, size_t size)
{
        HOST_SCOPE;
        char *copy = malloc(size + 1);

        assert(copy);
        if (size > 0)
                memcpy(copy, body, size);
        copy[size] = '\0';
        free(t->body);
        t->body = copy;
        t->size = size;
}

void trip_answer(Trip *t, int status, const void *body, size_t size)
{
        HOST_SCOPE;

        event_unset(&t->step);
        t->seen.is_open = false;
        t->status = status;
        t->has_answer = true;
        set_body(t, body, size);
        if (t->changed)
                t->changed(t->userdata);
}

/* The way. */

static Machine *own_machine(const Trip *t)
{
        return process_machine(t->process);
}

static Bound *target(const Trip *t, Machine **ret_to)
{
        return bound_find(own_machine(t), &t->server, ret_to);
}

static void then(Trip *t, void (*fn)(void *userdata), uint64_t usec)
{
        t->step.fn = fn;
        event_set(&t->step, world_now() + usec);
}

static void send_syn(void *userdata);

static void send_again(Trip *t)
{
        then(t, send_syn, SYN_PAUSE_USEC << MIN(t->n_sent, SYN_DOUBLINGS_MAX));
        t->n_sent++;
}

static void on_back(void *userdata)
{
        Trip *t = userdata;
        Machine *to;

        (void) target(t, &to);
        t->is_held = !link_carries(link_between(to, own_machine(t)));
        if (t->is_held)
                return;
        if (t->seen.is_open)
                trip_answer(t, t->status, t->body, t->size);
}

void http_changed(void)
{
        Trip *t, *next;

        for (t = trips; t; t = next) {
                next = t->next_trip;
                if (t->is_held)
                        on_back(t);
        }
}

static void on_answered(int status, const void *body, size_t size, void *userdata)
{
        Trip *t = userdata;
        Machine *to;

        t->is_at_server = false;
        if (!t->changed || !t->seen.is_open) {
                trip_check(t);
                return;
        }
        if (t->is_of_test) {
                trip_answer(t, status, body, size);
                return;
        }
        if (t->is_lost || status == 0)
                return;
        t->status = status;
        set_body(t, body, size);
        (void) target(t, &to);
        then(t, on_back, link_delay(link_between(to, own_machine(t))));
}

static bool take(Trip *t, Bound *b)
{
        const TestRequest *f = &t->seen;
        const HttpInput input = {f->method, f->path, f->token, f->body, NULL, NULL};
        const HttpSink sink = {on_answered, NULL, t};

        t->is_at_server = server_take(b, &input, &sink);
        return t->is_at_server;
}

static void dial(Trip *t);

/* Tries the next address of the name. */
static void refused(Trip *t)
{
        const Endpoint *e = t->found.endpoints + t->next;

        if (t->next >= t->found.n) {
                trip_answer(t, -ECONNREFUSED, NULL, 0);
                return;
        }
        t->next++;
        (void) address_from_sockaddr((const struct sockaddr *) &e->address, e->size, &t->server);
        dial(t);
}

static void on_refused(void *userdata)
{
        Trip *t = userdata;
        Machine *to;

        (void) target(t, &to);
        if (link_carries(link_between(to, own_machine(t))))
                refused(t);
        else
                send_again(t);
}

static void on_arrival(void *userdata)
{
        Trip *t = userdata;
        Machine *to, *own = own_machine(t);
        Bound *b = target(t, &to);

        /* Without the way back no connection is made. */
        if (!link_carries(link_between(own, to)) || !link_carries(link_between(to, own)))
                send_again(t);
        else if (!take(t, b))
                then(t, on_refused, link_delay(link_between(to, own)));
        else {
                t->is_connected = true;
                t->changed(t->userdata);
        }
}

static void send_syn(void *userdata)
{
        Trip *t = userdata;
        Machine *to, *own = own_machine(t);

        (void) target(t, &to);
        if (to && machine_may_run(own))
                then(t, on_arrival, link_delay(link_between(own, to)));
        else
                send_again(t);
}

static void dial(Trip *t)
{
        Machine *to;
        const Bound *b = target(t, &to);

        t->n_sent = 0;
        if (t->server.kind == ADDRESS_TCP || (bound_is_open(b) && to == own_machine(t)))
                send_syn(t);
        else
                refused(t);
}

static void on_looked_up(void *userdata)
{
        Trip *t = userdata;

        name_look_up(&t->server, &t->found);
        if (t->found.n == 0)
                trip_answer(t, -EHOSTUNREACH, NULL, 0);
        else
                refused(t);
}

void trip_begin(Trip *t)
{
        struct sockaddr_storage ss;
        socklen_t n;

        if (t->is_of_test) {
                Bound *b = bound_find(NULL, &t->server, NULL);

                if (!take(t, b) && b && !bound_is_open(b))
                        trip_answer(t, -ECONNREFUSED, NULL, 0);
                return;
        }
        const unsigned i = process_index(t->process);
        if (to_lose[i] > 0) {
                to_lose[i]--;
                t->is_lost = true;
        }
        if (t->server.kind == ADDRESS_TCP && address_to_sockaddr(&t->server, &ss, &n) < 0)
                then(t, on_looked_up, name_delay(t->server.host));
        else
                dial(t);
}

/* For tests. */

void world_answer(TestRequest *f, int status, const char *body)
{
        Trip *t = CONTAINER_OF(f, Trip, seen);

        assert(t->changed && f->is_open);
        trip_answer(t, status, body, body ? strlen(body) : 0);
}

TestRequest *world_request(const char *path)
{
        Trip *t;

        DL_FOREACH2(trips, t, next_trip)
        if (t->is_of_test && t->changed && t->seen.is_open &&
                        strncmp(t->seen.path, path, strlen(path)) == 0 &&
                        !bound_is_open(bound_find(NULL, &t->server, NULL)))
                return &t->seen;
        return NULL;
}
