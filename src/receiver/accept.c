/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runtime/connection.h"

typedef struct Accepting {
        Acceptor *acceptor;
        Listener *listener;
        Watch watch;
        bool told; /* its file is gone, and that was logged */
} Accepting;

static void refuse(int fd)
{
        static const char text[] = "this receiver has too many connections";
        Buffer b = {};

        (void) !frame_encode(
                        &b, &(Frame){.type = FRAME_ERROR, .text = {(const uint8_t *) text, strlen(text)}});
        connection_refuse(fd, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
}

static void on_connection(uint32_t events, void *userdata)
{
        const Accepting *listening = userdata;
        Acceptor *a = listening->acceptor;

        /* The permission was withdrawn in this iteration. While the socket is watched, the connections in
         * its backlog keep the loop from reaching the end of the iteration. */
        if (!condition_permits(a->condition, MAY_ACCEPT)) {
                acceptor_update(a);
                return;
        }
        int fd = listener_accept(listening->listener);
        if (fd < 0) {
                /* No descriptor is free: the end of a connection frees one. */
                if ((fd == -EMFILE || fd == -ENFILE) && a->conns->n > 0) {
                        log_warning("Out of file descriptors: new connections must wait");
                        a->full_at = a->conns->n;
                        acceptor_update(a);
                }
                return;
        }
        if (a->conns->n >= CONNECTIONS_DEFAULT_MAX)
                refuse(fd);
        else if (conn_accept(a->conns, fd) < 0)
                connection_refuse(fd, "", 0);
}

void acceptor_update(Acceptor *a)
{
        if (a->conns->n < a->full_at)
                a->full_at = 0;
        const bool on = a->full_at == 0 && condition_permits(a->condition, MAY_ACCEPT);
        if (on == a->on)
                return;
        a->on = on;
        for (size_t i = 0; a->accepting && i < a->listeners.n; i++)
                watch_pause(&a->accepting[i].watch, !on);
}

static int watch_listener(Accepting *listening)
{
        Acceptor *a = listening->acceptor;

        return watch_start(&listening->watch, a->loop, listening->listener->fd, EPOLLIN, on_connection,
                        listening);
}

static void renew(Accepting *listening)
{
        char text[ADDRESS_STRING_MAX];
        Error error = {};
        int r;

        (void) address_format(&listening->listener->address, text);
        if (listening->listener->inherited) {
                if (!listening->told)
                        log_warning("The file of %s is gone, so no new client finds it: restart the socket "
                                    "unit",
                                        text);
                listening->told = true;
                return;
        }
        watch_stop(&listening->watch);
        r = listener_renew(listening->listener, &error);
        if (r >= 0)
                log_notice("The file of %s was gone, and is there again", text);
        else if (!listening->told)
                log_warning("The file of %s is gone: %s", text, error.text);
        listening->told = r < 0;
        if (watch_listener(listening) < 0) {
                log_error("Out of memory for %s: ending", text);
                loop_exit(listening->acceptor->loop, EXIT_FAILURE);
                return;
        }
        watch_pause(&listening->watch, !listening->acceptor->on);
}

void acceptor_check(Acceptor *a)
{
        for (size_t i = 0; a->accepting && i < a->listeners.n; i++) {
                if (listener_is_lost(a->listeners.listeners + i))
                        renew(a->accepting + i);
                else
                        a->accepting[i].told = false;
        }
}

int acceptor_start(Acceptor *a)
{
        int r = 0;

        a->accepting = calloc(a->listeners.n, sizeof *a->accepting);
        if (!a->accepting)
                return -ENOMEM;
        for (size_t i = 0; i < a->listeners.n && r >= 0; i++) {
                Accepting *listening = a->accepting + i;

                *listening = (Accepting){.acceptor = a, .listener = a->listeners.listeners + i};
                r = watch_listener(listening);
        }
        a->on = true;
        if (r >= 0)
                acceptor_update(a);
        return r;
}

void acceptor_clear(Acceptor *a)
{
        for (size_t i = 0; a->accepting && i < a->listeners.n; i++)
                watch_stop(&a->accepting[i].watch);
        free(a->accepting);
        a->accepting = NULL;
        listeners_clear(&a->listeners);
}
