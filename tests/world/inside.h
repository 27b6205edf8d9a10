/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The functions and types that the files of the world share. */

#include "model/address.h"
#include "runtime/listen.h"
#include "world/net.h"
#include "world/process.h"
#include "world/world.h"

/* Its process runs as soon as it can: something of this loop has become ready. */
void loop_wake(Loop *l);

/* Something that can become ready. NULL as `loop`: it belongs to the world. Embed it by value. */
typedef struct Source Source;
struct Source {
        Loop *loop;
        bool (*is_ready)(Source *s);
        void (*dispatch)(Source *s); /* may remove any source */
        unsigned turn;               /* the turn of its last dispatch */
        Source *prev, *next;
};
void source_add(Source *s, Loop *loop, bool (*is_ready)(Source *s), void (*dispatch)(Source *s));
void source_remove(Source *s); /* also safe for a zeroed Source, and twice */

/* A timer of a loop or of the world. */
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

/* Descriptors that exist only in this world. */
#define FD_FIRST (1 << 20)
int fd_new(bool (*is_ready)(int fd, uint32_t events, void *userdata), void *userdata);
void fd_free(int fd);
void *fd_userdata(int fd); /* NULL: no such descriptor */

/* What a loop waits for; of the world itself if `l` is NULL. */
typedef struct Waits {
        Source *sources;
        Alarm *alarms;
} Waits;
Waits *loop_waits(Loop *l);
void loop_waits_less(Loop *l); /* a source or an alarm was removed */

void *world_alloc(size_t n);       /* zeroed; world_end() frees it */
char *world_strdup(const char *s); /* returns NULL for NULL */

/* Dispatches one ready source or alarm of this loop (NULL: of the world) that was not dispatched in this
 * turn. Returns false if there is none. */
bool source_dispatch_one(Loop *l, unsigned turn);
uint64_t alarms_next(Loop *l); /* its earliest time, or USEC_INFINITY */

void source_world_begin(void);
void source_world_end(void);
void net_world_begin(void);
void net_world_end(void); /* after the processes */
void connection_world_begin(void);
void listen_world_begin(void);
void http_server_world_begin(void);
void http_client_world_begin(void);
void http_client_world_end(void);
void child_world_begin(void);
void child_world_end(void); /* after process_world_end() */
void worker_world_begin(void);
void notify_world_begin(void);
void random_world_begin(void);

/* net.c */
/* It was switched on or off, suspended or resumed. Its processes are gone already when it is off. */
void net_machine_changed(Machine *m);
void net_changed(void);      /* what can arrive may arrive now */
bool world_has_memory(void); /* false: an allocation of this process failed */
void net_tell(NetEventKind kind, const TestSocket *from, const void *data, size_t size, int error);

/* connection.c and listen.c */
bool listener_offer(TestSocket *s); /* the end that accepts; false: nobody listens */
int socket_accept(TestSocket *s);   /* its descriptor, which belongs to this process */

/* http-client.c: what travels */
void http_changed(void);
