/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A world for unit tests of whole daemons: another implementation of
 * runtime/{loop,timer,watch,connection,listen,lookup,child,unit-job,notify}, http/http-{client,server},
 * base/{clock,random} and store/{worker,disk}, in one thread, without sockets, processes, files or the real
 * clock. `dependencies : [dep_world, dep_…]`, the world first.
 *
 * Time is virtual and stands still until the test moves it. Random numbers repeat. The database runs in the
 * thread of the test, on the disk in memory of world/disk.h, which can fail and crash.
 *
 * Several daemons can live in one world. They reach each other at the addresses on which they listen; any
 * other address belongs to the test, which accepts the connections and answers the requests that come there.
 *
 *      static int setup(void **state) { world_begin(); return 0; }
 *      static int teardown(void **state) { world_end(); return 0; }
 *
 *      discovery_new(&config, &d, &error);         where config.listen is {"unix:/d.sock", NULL}
 *      TestExchange *x = world_http("unix:/d.sock", "GET", "/v1/status", NULL, NULL);
 *      world_settle();
 *      assert_int_equal(x->status, 200);
 *
 * test-discovery-daemon.c is an example. The world owns everything that a function here returns; world_end()
 * frees it. Addresses are strings in the format of address_format(). An error in the world itself ends the
 * program by assert(). */

#include "base/buffer.h"
#include "base/time-util.h"
#include "runtime/child.h"
#include "runtime/loop.h"

void world_begin(void);
void world_end(void); /* first free everything that uses a loop */
/* A directory that exists, for StateDirectory=; world_end() removes it. Databases in it are in memory. */
const char *world_directory(void);

/* Time. It begins at one hour after boot, on 1 January 2026. */

/* Dispatches everything that is ready, until nothing is ready any more. Time does not move. */
void world_settle(void);
/* Settles, then moves time forward by `usec`. Stops at each timer on the way and settles there. */
void world_advance(uint64_t usec);
/* Settles, then moves time to the next timer and settles there. Returns false if there is no timer. */
bool world_next(void);
/* Moves time forward without running anything, like a suspended machine. Timers on the way fire late. */
void world_sleep(uint64_t usec);

void world_seed(uint64_t seed); /* seeds the random numbers; world_begin() sets 1 */

/* The loop. loop_run() is not for tests: world_settle() runs all loops. */

void world_signal(Loop *l, int number); /* SIGTERM, SIGINT or SIGHUP */
bool world_has_exited(
                const Loop *l, int *ret_code); /* loop_exit() was called; nothing runs on it any more */
void world_restarting(bool restarting); /* sets the result of unit_job_ask(); world_begin() sets false */
const char *world_status(void);         /* the newest STATUS=, or "" */
unsigned world_n_ready(void);           /* how often READY=1 was sent */
unsigned world_n_extended(void);        /* how often EXTEND_TIMEOUT_USEC= was sent */
unsigned world_n_alive(void);           /* how often WATCHDOG=1 was sent */

/* Connections. A TestSocket is the end that the test holds. */

typedef struct TestSocket TestSocket;

/* Connects to the daemon that listens at `address`. The daemon accepts when its loop runs. NULL: nobody
 * listens there. */
TestSocket *world_connect(const char *address);
/* Accepts the oldest connection that a daemon is trying to make to `address`. NULL: there is none. */
TestSocket *world_accept(const char *address);
/* Sets the result of connecting to `address`, also for connections in progress. Negative errno: they fail at
 * once, even if a daemon listens there. 0 (at first): they reach the daemon, or wait for world_accept(). */
void world_refuse(const char *address, int error);
void world_remove_file(const char *address); /* of a Unix socket on which a daemon listens */
bool world_has_file(const char *address);
unsigned world_n_connecting(const char *address); /* connections that wait for world_accept() */
unsigned world_n_opened(void);                    /* how many connections daemons have tried to make */
/* Returns a descriptor for connection_new(). Its other end is *ret. */
int world_socket(TestSocket **ret);

void world_send(TestSocket *s, const void *data, size_t n);
/* The bytes that the daemon has written. The test consumes the bytes that it has read. */
Buffer *world_received(TestSocket *s);
void world_stall(TestSocket *s,
                bool stall);        /* the test's end stops reading, so the daemon's output piles up */
void world_shutdown(TestSocket *s); /* the test stops sending but still reads */
void world_close(TestSocket *s, int error); /* 0, or a negative errno that the daemon sees */
bool world_is_shut(const TestSocket *s);    /* the daemon has stopped sending */
bool world_is_closed(const TestSocket *s);  /* the daemon has closed its end */

/* HTTP requests from daemons to addresses where no daemon of this world listens. */

typedef struct TestRequest {
        char *server, *method, *path, *token, *body; /* token and body may be NULL */
        uint64_t timeout_usec;
        bool is_open; /* false: answered, cancelled or timed out */
} TestRequest;

/* The oldest open request whose path begins with `path` ("": any). NULL: there is none. */
TestRequest *world_request(const char *path);
/* Requests over TCP come from this address of the daemon's host from now on; at first "127.0.0.1". */
void world_local_ip(const char *ip);
/* `body` may be NULL; a negative `status` is an errno. The daemon gets it when its loop runs. */
void world_answer(TestRequest *q, int status, const char *body);

/* HTTP requests from the test to a daemon. */

typedef struct TestExchange {
        unsigned status; /* 0: not answered yet */
        char *body;      /* NUL-terminated; NULL until it is answered */
        size_t size;
} TestExchange;

/* `path` with its query; `token` and `body` may be NULL. NULL: no daemon listens there. */
TestExchange *world_http(const char *address, const char *method, const char *path, const char *token,
                const char *body);
/* Like world_http(), with one more header, such as "Accept-Encoding", "gzip". */
TestExchange *world_http_with(const char *address, const char *method, const char *path, const char *token,
                const char *body, const char *header, const char *value);
const char *world_header(const TestExchange *x, const char *name); /* a header of the answer; NULL: none */
void world_fail_answer(unsigned n); /* the n-th allocation for an answer from now fails; 0: none */

/* Children. Every program exists, except those whose names begin with "missing". For a name without a slash
 * child_find_program() returns "/fake/NAME". */

typedef struct TestChild {
        char *path;
        char **arguments, **environment;
        char *input; /* NUL-terminated */
        size_t input_size;
        pid_t group;
        bool is_running;
} TestChild;

TestChild *world_child(unsigned i); /* the i-th running child, oldest first; NULL: there are fewer */
unsigned world_n_children(void);    /* running ones */
const char *world_environment(const TestChild *c, const char *name); /* the value of a variable, or NULL */
void world_report(TestChild *c, const char *line);     /* the child writes a line to descriptor 3 */
void world_error_line(TestChild *c, const char *line); /* the same to standard error */
/* Ends the child. `status`: its exit status; 128 + N: killed by signal N. `output` may be NULL. */
void world_child_end(TestChild *c, int status, const char *output);
unsigned world_n_spawns(void);     /* how often a daemon has tried to start one */
void world_spawn_error(int error); /* sets the error of child_spawn() from now on; 0: none */

/* The database. */

void world_hold_disk(bool hold); /* while held, operations wait; closing the database still runs them */
