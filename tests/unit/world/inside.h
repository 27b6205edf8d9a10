/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the parts of the world share. */

#include "model/address.h"
#include "runtime/listen.h"
#include "world/world.h"

/* Something that can become ready. `loop` NULL: it belongs to the world. Embedded by value. */
typedef struct Source Source;
struct Source {
        Loop *loop;
        bool (*is_ready)(Source *s);
        void (*dispatch)(Source *s); /* may remove any source */
        unsigned turn;               /* when it was dispatched last */
        Source *prev, *next;
};
void source_add(Source *s, Loop *loop, bool (*is_ready)(Source *s), void (*dispatch)(Source *s));
void source_remove(Source *s); /* safe on a zeroed Source, and twice */

/* A time, of a loop or of the world. */
typedef struct Alarm Alarm;
struct Alarm {
        Loop *loop;
        uint64_t due; /* USEC_INFINITY: not armed */
        void (*fn)(void *userdata);
        void *userdata;
        unsigned turn;
        Alarm *prev, *next;
};
void alarm_add(Alarm *a, Loop *loop, void (*fn)(void *userdata), void *userdata);
void alarm_remove(Alarm *a);

/* Descriptors that exist in this world only. */
#define FD_FIRST (1 << 20)
int fd_new(bool (*is_ready)(int fd, uint32_t events, void *userdata), void *userdata);
void fd_free(int fd);
bool fd_is_ready(int fd, uint32_t events);
void *fd_userdata(int fd); /* NULL: no such descriptor */

void world_free_at_end(void (*fn)(void *p), void *p); /* called by world_end() */
void *world_alloc(size_t n);                          /* zeroed, freed by world_end() */
char *world_strdup(const char *s);                    /* NULL: NULL */

/* One thing of this loop (NULL: of the world) that is ready and was not dispatched in this turn. False:
 * there is none. */
bool source_dispatch_one(Loop *l, unsigned turn);
uint64_t alarms_next(bool (*is_running)(
                const Loop *l)); /* when the next of the loops that run is due, or USEC_INFINITY */

void source_world_begin(void);
void source_world_end(void);
void connection_world_begin(void);
void listen_world_begin(void);
void http_server_world_begin(void);
void http_client_world_begin(void);
void child_world_begin(void);
void worker_world_begin(void);
void notify_world_begin(void);
void random_world_begin(void);

/* connection.c and listen.c */
int socket_pair(TestSocket **ret);                /* returns the descriptor of the daemon's end */
bool listener_offer(const char *address, int fd); /* false: nobody listens */
bool listener_exists(const char *address, int *ret_fd);
bool listener_is_closed(const char *address); /* somebody listened there, and nobody does */
const char *listener_address(int fd);         /* NULL: it is none */

/* http-server.c */
typedef struct HttpSink {
        void (*answered)(unsigned status, const void *body, size_t size, void *userdata);
        void (*header)(const char *name, const char *value, void *userdata); /* before `answered` */
        void *userdata;
} HttpSink;
typedef struct HttpInput {
        const char *method, *path, *token, *body, *header, *value;
} HttpInput;
/* False: nobody serves HTTP at this address. */
bool server_take(const char *address, const HttpInput *input, const HttpSink *sink);
