/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that have no receiver yet, one queue for each selector: the more urgent ones first, and in order
 * of acceptance. The front of a queue is in memory, the rest on disk only; it is read in pages as the front
 * moves on. */

#include "client/client.h"

typedef struct Position {
        unsigned priority;
        uint64_t number;
} Position;

struct Queue {
        Client *client;
        char *text;
        Selector selector;
        Message *waiting; /* in memory, oldest first */
        size_t n_waiting;
        uint64_t n_stored; /* queued on disk behind those */
        Position read_to;  /* everything up to here is in memory, what is stored lies behind */
        bool reading;
        bool unread;        /* the last try to read on failed */
        size_t n_bound;     /* messages bound to a receiver */
        Peer *owner;        /* of mode key: who gets them while there are any */
        bool stuck;         /* of mode key: in the list of those that nobody was found for */
        size_t n_messages;  /* in memory that belong to it, wherever they are */
        Queue *prev, *next; /* of mode any, or stuck */
        UT_hash_handle hh;
};

/* Finds it or makes it. Those that nobody uses go when there are many and another one is made. */
int queue_get(Client *c, const char *text, Queue **ret);

Queue *queue_of_receiver(Client *c, sd_id128_t receiver); /* or NULL */

void queue_add(Queue *q, Message *m);       /* accepted just now, without a receiver */
void queue_give_back(Queue *q, Message *m); /* its receiver would not have it: to its old place */
void queue_take(Queue *q, Message *m);      /* it is bound or settled; wherever in the queue it is */
void queue_read_on(Queue *q);               /* fetches the next page when the front has become short */

void queues_read_again(Client *c); /* where it failed */

void queues_clear(Client *c);
