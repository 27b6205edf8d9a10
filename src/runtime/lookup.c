/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/watch.h"

struct Lookup {
        int fd;
        Watch watch;
        void (*done)(const LookupAnswer *answer, void *userdata);
        void *userdata;
};

typedef struct Question {
        int fd;
        char host[ADDRESS_MAX_LENGTH], port[8];
} Question;

static int error_of(int code)
{
        switch (code) {
        case EAI_SYSTEM:
                return -errno;
        case EAI_MEMORY:
                return -ENOMEM;
        case EAI_AGAIN:
                return -EAGAIN;
        default:
                return -EHOSTUNREACH;
        }
}

static void *ask(void *userdata)
{
        Question *q = userdata;
        const struct addrinfo hints = {
                        .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
        struct addrinfo *list = NULL;
        LookupAnswer answer = {};
        int code = getaddrinfo(q->host, q->port, &hints, &list);

        if (code != 0)
                answer.error = error_of(code);
        for (struct addrinfo *i = list; i && answer.n < LOOKUP_MAX; i = i->ai_next) {
                Endpoint *e = answer.endpoints + answer.n;
                if (i->ai_addrlen > sizeof e->address)
                        continue;
                memcpy(&e->address, i->ai_addr, i->ai_addrlen);
                e->size = i->ai_addrlen;
                answer.n++;
        }
        if (list)
                freeaddrinfo(list);
        /* It fails when the lookup was given up; that does no harm. */
        (void) !send(q->fd, &answer, sizeof answer, MSG_NOSIGNAL);
        (void) close(q->fd);
        free(q);
        return NULL;
}

static void on_answer(uint32_t events, void *userdata)
{
        Lookup *l = userdata;
        LookupAnswer answer;

        if (recv(l->fd, &answer, sizeof answer, 0) != (ssize_t) sizeof answer)
                answer = (LookupAnswer){.error = -EIO};
        watch_stop(&l->watch);
        l->done(&answer, l->userdata);
}

static int start_thread(Question *q)
{
        pthread_attr_t attributes;
        pthread_t thread;
        int r;

        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        r = pthread_create(&thread, &attributes, ask, q);
        (void) pthread_attr_destroy(&attributes);
        return -r;
}

int lookup_start(Loop *loop, const Address *address,
                void (*done)(const LookupAnswer *answer, void *userdata), void *userdata, Lookup **ret)
{
        int pair[2], r;

        /* One datagram holds the whole answer. */
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        Lookup *l = calloc(1, sizeof *l);
        Question *q = calloc(1, sizeof *q);
        r = l && q ? watch_start(&l->watch, loop, pair[0], EPOLLIN, on_answer, l) : -ENOMEM;
        if (r >= 0) {
                q->fd = pair[1];
                (void) snprintf(q->host, sizeof q->host, "%s", address->host);
                (void) snprintf(q->port, sizeof q->port, "%u", address->port);
                r = start_thread(q);
        }
        if (r < 0) {
                if (l)
                        watch_stop(&l->watch);
                (void) close(pair[0]);
                (void) close(pair[1]);
                free(l);
                free(q);
                return r;
        }
        l->fd = pair[0];
        l->done = done;
        l->userdata = userdata;
        *ret = l;
        return 0;
}

Lookup *lookup_free(Lookup *l)
{
        if (!l)
                return NULL;
        watch_stop(&l->watch);
        (void) close(l->fd);
        free(l);
        return NULL;
}
